//! The `.avsc` files, the Rust types and the records of earlier versions agree.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use std::fs;

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, schema_compatibility::SchemaCompatibility, types::Value,
    writer::datum::GenericDatumWriter,
};
use domain::{
    amount::{Minor, Quantity},
    ids::{AdjustmentId, AlertId, CustomerId, IngredientId, MerchantId, OrderId, ProductId},
    money::Currency,
    pantry::Shortfall,
};
use proptest::prelude::*;
use schemas::{
    DecodeError, Event, TOPICS, Topic, WriterSchema, encode,
    events::{
        AdjustmentKind, Demand, Micros, Notify, OrderCancelled, OrderConfirmed, OrderCreated, OrderLine, StockAdjusted,
        StockRejected, StockReserved,
    },
};
use uuid::Uuid;

const MERCHANT: MerchantId = MerchantId::new(42);
const AT: Micros = Micros(1_763_600_000_000_000);

fn q(amount: i64) -> Quantity {
    Quantity::new(amount).unwrap()
}

fn order_created() -> OrderCreated {
    OrderCreated {
        order_id: OrderId::new(Uuid::from_u128(1)),
        merchant_id: MERCHANT,
        customer_id: CustomerId::new(7),
        customer_email: Some("ana@example.org".into()),
        currency: Currency::parse("EUR").unwrap(),
        lines: vec![OrderLine {
            product_id: ProductId::new(3),
            quantity: 2,
            unit_price_minor: Minor::new(950).unwrap(),
        }],
        total_minor: Minor::new(1900).unwrap(),
        placed_at: AT,
        request_hash: Some(-5),
    }
}

fn by_apache(schema: &Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema)
        .build()
        .unwrap()
        .write_value_to_vec(value)
        .unwrap()
}

fn encoded<T: Event>(event: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(event, &mut bytes).unwrap();
    bytes
}

/// Writes from the Rust type, checks against the schema as a value of no type, reads back.
fn check<T: Event + PartialEq + std::fmt::Debug>(event: &T) {
    let bytes = encoded(event);
    let schema = Schema::parse_str(T::TOPIC.schema).unwrap();
    let value = GenericDatumReader::builder(&schema)
        .build()
        .unwrap()
        .read_value(&mut bytes.as_slice())
        .unwrap();
    assert!(value.validate(&schema), "{} does not hold {value:?}", T::TOPIC.name);
    assert_eq!(
        by_apache(&schema, value.clone()),
        bytes,
        "{}: typed and generic value differ",
        T::TOPIC.name
    );
    let Value::Record(fields) = &value else {
        panic!("{} is not a record", T::TOPIC.name)
    };
    let from_rust = serde_json::to_value(event).unwrap();
    let in_rust: Vec<_> = from_rust.as_object().unwrap().keys().cloned().collect();
    let mut in_schema: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
    in_schema.sort();
    assert_eq!(
        in_rust,
        in_schema,
        "{}: fields of the type and of the schema",
        T::TOPIC.name
    );
    assert_eq!(&WriterSchema::<T>::newest().decode(&bytes).unwrap(), event);
    // Apache's reader makes the same of it; it is asked where the schema is another one.
    let mut renamed: serde_json::Value = serde_json::from_str(T::TOPIC.schema).unwrap();
    renamed["namespace"] = "elsewhere".into();
    let other = WriterSchema::<T>::parse(&renamed.to_string()).unwrap();
    assert_eq!(&other.decode(&bytes).unwrap(), event);
}

#[test]
fn every_type_agrees_with_its_schema() {
    let order_id = OrderId::new(Uuid::from_u128(1));
    let currency = Currency::parse("EUR").unwrap();
    check(&order_created());
    check(&StockAdjusted {
        adjustment_id: AdjustmentId::new(Uuid::from_u128(2)),
        merchant_id: MERCHANT,
        ingredient_id: IngredientId::new(1),
        kind: AdjustmentKind::Waste,
        amount: Some(-20),
        level: None,
        reason: "fell down".into(),
        adjusted_at: AT,
    });
    check(&StockReserved {
        order_id,
        merchant_id: MERCHANT,
        demand: vec![Demand {
            ingredient_id: IngredientId::new(1),
            amount: q(150),
        }],
        amount_due_minor: Minor::ZERO,
        currency,
        deadline: None,
        reserved_at: AT,
    });
    check(&StockRejected {
        order_id,
        merchant_id: MERCHANT,
        reason: "insufficient_stock".into(),
        shortfalls: vec![Shortfall {
            ingredient_id: IngredientId::new(1),
            needed: q(150),
            available: q(10),
        }],
        rejected_at: AT,
    });
    check(&OrderConfirmed {
        order_id,
        merchant_id: MERCHANT,
        customer_id: CustomerId::new(7),
        customer_email: None,
        total_minor: Minor::new(1900).unwrap(),
        currency,
        confirmed_at: AT,
    });
    check(&OrderCancelled {
        order_id,
        merchant_id: MERCHANT,
        customer_id: CustomerId::new(7),
        customer_email: None,
        reason: "expired".into(),
        cancelled_at: AT,
    });
    check(&Notify {
        alert_id: AlertId::new(Uuid::from_u128(3)),
        merchant_id: MERCHANT,
        merchant_name: "Ana's".into(),
        ingredient_id: IngredientId::new(1),
        ingredient_name: "onion".into(),
        unit: "g".into(),
        level_before: q(500),
        level_after: q(480),
        full_level: q(1000),
        threshold_pct: 50,
        recipients: vec!["ana@example.org".into()],
        raised_at: AT,
    });
}

#[test]
fn every_field_says_what_it_is() {
    fn walk(at: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::Object(object) => {
                if object.get("type").is_some_and(|kind| kind == "record") {
                    assert!(object.contains_key("doc"), "{at} has no doc");
                    for field in object["fields"].as_array().unwrap() {
                        assert!(
                            field["doc"].as_str().is_some_and(|doc| !doc.is_empty()),
                            "{at}.{} has no doc",
                            field["name"]
                        );
                    }
                }
                object
                    .iter()
                    .for_each(|(key, value)| walk(&format!("{at}/{key}"), value));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(at, item)),
            _ => {}
        }
    }
    for topic in TOPICS {
        walk(topic.name, &serde_json::from_str(topic.schema).unwrap());
    }
}

/// Every earlier version of a topic's schema, oldest first.
fn history(topic: &Topic) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/history"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().split('.').next() == Some(topic.name))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn every_earlier_version_is_readable_by_the_newest_schema() {
    let mut versions = 0;
    for topic in TOPICS {
        let newest = Schema::parse_str(topic.schema).unwrap();
        for version in history(topic) {
            let old = Schema::parse_str(&version).unwrap();
            SchemaCompatibility::can_read(&old, &newest).unwrap_or_else(|error| panic!("{}: {error}", topic.name));
            versions += 1;
        }
    }
    assert!(
        versions > 0,
        "schemas/history holds no version: the folder was moved or emptied"
    );
}

#[test]
fn a_record_of_the_previous_version_becomes_the_type_of_today() {
    let [previous] = history(&schemas::topics::ORDER_CREATED).try_into().unwrap();
    let schema = Schema::parse_str(&previous).unwrap();
    let today = order_created();
    let line = Value::Record(vec![
        ("product_id".into(), Value::Long(3)),
        ("quantity".into(), Value::Int(2)),
        ("unit_price_minor".into(), Value::Long(950)),
    ]);
    let record = Value::Record(vec![
        ("order_id".into(), Value::Uuid(today.order_id.get())),
        ("merchant_id".into(), Value::Long(42)),
        ("customer_id".into(), Value::Long(7)),
        (
            "customer_email".into(),
            Value::Union(1, Box::new(Value::String("ana@example.org".into()))),
        ),
        ("currency".into(), Value::String("EUR".into())),
        ("lines".into(), Value::Array(vec![line])),
        ("total_minor".into(), Value::Long(1900)),
        ("placed_at".into(), Value::TimestampMicros(AT.0)),
    ]);
    let bytes = by_apache(&schema, record);
    let read = WriterSchema::<OrderCreated>::parse(&previous)
        .unwrap()
        .decode(&bytes)
        .unwrap();
    assert_eq!(
        read,
        OrderCreated {
            request_hash: None,
            ..today
        }
    );
}

#[test]
fn a_record_of_a_later_version_is_read_without_what_is_new() {
    let mut later: serde_json::Value = serde_json::from_str(schemas::topics::ORDER_CREATED.schema).unwrap();
    let channel =
        serde_json::json!({"name": "channel", "type": "string", "default": "web", "doc": "Where it came from."});
    // In the middle, so that it must be passed over.
    later["fields"].as_array_mut().unwrap().insert(4, channel);
    let schema = Schema::parse(&later).unwrap();
    let today = order_created();
    let bytes = encoded(&today);
    let written = Schema::parse_str(schemas::topics::ORDER_CREATED.schema).unwrap();
    let reader = GenericDatumReader::builder(&written)
        .reader_schema(&schema)
        .build()
        .unwrap();
    let value = reader.read_value(&mut bytes.as_slice()).unwrap();
    let bytes = by_apache(&schema, value);
    let read = WriterSchema::<OrderCreated>::parse(&later.to_string())
        .unwrap()
        .decode(&bytes)
        .unwrap();
    assert_eq!(read, today);
}

#[test]
fn bytes_that_are_not_the_value_are_refused() {
    let schema = WriterSchema::<OrderCreated>::newest();
    let mut bytes = encoded(&order_created());
    for end in 0..bytes.len() {
        assert!(
            matches!(schema.decode(&bytes[..end]), Err(DecodeError::Value(_))),
            "cut at {end}"
        );
    }
    assert!(matches!(schema.decode(b"\xff\xff garbage"), Err(DecodeError::Value(_))));
    bytes.push(0);
    assert!(matches!(schema.decode(&bytes), Err(DecodeError::Trailing(1))));
}

/// The order of the tests with these bytes for its lines.
fn with_lines(lines: &[u8]) -> Vec<u8> {
    let bytes = encoded(&OrderCreated {
        lines: Vec::new(),
        ..order_created()
    });
    // Behind the currency and its length.
    let at = bytes.windows(5).position(|window| window == b"\x06EUR\0").unwrap() + 4;
    [&bytes[..at], lines, &bytes[at + 1..]].concat()
}

#[test]
fn an_array_may_come_in_blocks() {
    let line = [6, 4, 0xec, 0x0e];
    let blocks = [
        [&[2][..], &line, &[2], &line, &[0]].concat(),
        // A negative count says the size of the block as well.
        [&[1, 8][..], &line, &[3, 16], &line, &line, &[0]].concat(),
    ];
    for (bytes, count) in blocks.iter().zip([2, 3]) {
        let bytes = with_lines(bytes);
        let read = WriterSchema::<OrderCreated>::newest().decode(&bytes).unwrap();
        assert_eq!(read.lines, vec![order_created().lines[0]; count]);
    }
}

#[test]
fn an_array_that_promises_too_much_is_refused() {
    // 2^62 lines, of which none is there.
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let result = WriterSchema::<OrderCreated>::newest().decode(&with_lines(&many));
    assert!(matches!(result, Err(DecodeError::Value(_))), "{result:?}");
}

/// Any event at all is written as Apache's writer writes it, and read as it was.
#[test]
fn any_order_is_written_as_apache_writes_it() {
    let schema = Schema::parse_str(schemas::topics::ORDER_CREATED.schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let line = (any::<i64>(), any::<i32>(), 0..=i64::MAX).prop_map(|(product, quantity, price)| OrderLine {
        product_id: ProductId::new(product),
        quantity,
        unit_price_minor: Minor::new(price).unwrap(),
    });
    let orders = (
        any::<(u128, i64, i64, Option<String>, i64, Option<i64>)>(),
        0..=i64::MAX,
        proptest::collection::vec(line, 0..200),
    );
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&orders, |((id, merchant, customer, email, at, hash), total, lines)| {
            let order = OrderCreated {
                order_id: OrderId::new(Uuid::from_u128(id)),
                merchant_id: MerchantId::new(merchant),
                customer_id: CustomerId::new(customer),
                customer_email: email,
                lines,
                total_minor: Minor::new(total).unwrap(),
                placed_at: Micros(at),
                request_hash: hash,
                ..order_created()
            };
            let bytes = encoded(&order);
            let mut by_apache = Vec::new();
            writer.write_ser(&mut by_apache, &order).unwrap();
            assert_eq!(bytes, by_apache);
            assert_eq!(WriterSchema::<OrderCreated>::newest().decode(&bytes).unwrap(), order);
            Ok(())
        })
        .unwrap();
}

/// Whatever the bytes are, reading them ends, and says what Apache's reader says.
#[test]
fn any_bytes_are_read_as_apache_reads_them() {
    let schema = Schema::parse_str(schemas::topics::ORDER_CREATED.schema).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let good = encoded(&order_created());
    let changes = proptest::collection::vec((0..good.len(), any::<u8>()), 1..4);
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&changes, |changes| {
            let mut bytes = good.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            let mut rest = bytes.as_slice();
            let theirs: Option<OrderCreated> = reader.read_deser(&mut rest).ok().filter(|_| rest.is_empty());
            assert_eq!(WriterSchema::<OrderCreated>::newest().decode(&bytes).ok(), theirs);
            Ok(())
        })
        .unwrap();
}
