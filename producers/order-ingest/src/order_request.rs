//! What a client asks for when it orders: read in one go where it is sound, field by field where it is not.

use std::fmt;

use domain::{
    ids::Reference,
    order::{MAX_LINE_QUANTITY, MAX_LINES, check_lines},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    body::malformed,
    fields::{Errors, is_reference},
    problem::{Code, Problem},
};

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OrderRequest {
    pub(crate) customer: Reference,
    pub(crate) lines: Vec<LineRequest>,
    pub(crate) form: Form,
}

/// So many of one product.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineRequest {
    pub(crate) product: Reference,
    pub(crate) quantity: i32,
}

/// How the body is laid out; its fields are pointed at by their names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{customer_id, items: [{product_id, quantity}]}`
    Items,
    /// `{productId, quantity, customerId}`
    OneLine,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemsBody {
    #[serde(deserialize_with = "name")]
    customer_id: Reference,
    items: Vec<ItemBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemBody {
    #[serde(deserialize_with = "name")]
    product_id: Reference,
    quantity: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OneLineBody {
    #[serde(deserialize_with = "name")]
    product_id: Reference,
    quantity: i32,
    #[serde(deserialize_with = "name")]
    customer_id: Reference,
}

impl OrderRequest {
    /// Reads a body of this form.
    pub(crate) fn parse(body: &[u8], form: Form) -> Result<Self, Problem> {
        match Self::read(body, form) {
            Ok(request) if request.is_sound() => Ok(request),
            Ok(_) => Err(explain(body, form, None)),
            Err(error) => Err(explain(body, form, Some(&error))),
        }
    }

    /// What is the same for the same request, however its JSON is written: the first eight bytes of a SHA-256.
    pub(crate) fn hash(&self) -> i64 {
        let mut hash = Sha256::new();
        let mut add = |name: &Reference| match name {
            Reference::Id(id) => {
                hash.update(b"i");
                hash.update(id.to_be_bytes());
            }
            Reference::Own(text) => {
                hash.update(b"o");
                hash.update(text.len().to_be_bytes());
                hash.update(text);
            }
        };
        add(&self.customer);
        for line in &self.lines {
            add(&line.product);
            add(&Reference::Id(line.quantity.into()));
        }
        let hash = hash.finalize();
        i64::from_be_bytes(*hash.first_chunk().expect("a SHA-256 has 32 bytes"))
    }

    pub(crate) fn customer_pointer(&self) -> &'static str {
        match self.form {
            Form::Items => "/customer_id",
            Form::OneLine => "/customerId",
        }
    }

    pub(crate) fn product_pointer(&self, line: usize) -> String {
        match self.form {
            Form::Items => format!("/items/{line}/product_id"),
            Form::OneLine => "/productId".to_owned(),
        }
    }

    fn read(body: &[u8], form: Form) -> Result<Self, serde_json::Error> {
        let (customer, lines) = match form {
            Form::Items => {
                let ItemsBody { customer_id, items } = serde_json::from_slice(body)?;
                let line = |ItemBody { product_id, quantity }| LineRequest {
                    product: product_id,
                    quantity,
                };
                (customer_id, items.into_iter().map(line).collect())
            }
            Form::OneLine => {
                let OneLineBody {
                    product_id,
                    quantity,
                    customer_id,
                } = serde_json::from_slice(body)?;
                (
                    customer_id,
                    vec![LineRequest {
                        product: product_id,
                        quantity,
                    }],
                )
            }
        };
        Ok(Self { customer, lines, form })
    }

    fn is_sound(&self) -> bool {
        let sound = |name: &Reference| match name {
            Reference::Id(_) => true,
            Reference::Own(text) => is_reference(text),
        };
        check_lines(self.lines.iter().map(|line| line.quantity.into())).is_ok()
            && sound(&self.customer)
            && self.lines.iter().all(|line| sound(&line.product))
    }
}

/// Everything that is wrong with a body.
fn explain(body: &[u8], form: Form, error: Option<&serde_json::Error>) -> Problem {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return malformed(&error),
    };
    let mut errors = Errors::default();
    match form {
        Form::Items => explain_items(&value, &mut errors),
        Form::OneLine => {
            if let Some(fields) = errors.object(&value, "", &["productId", "quantity", "customerId"]) {
                explain_line(fields, "", ["productId", "quantity"], &mut errors);
                explain_name(fields, "", "customerId", &mut errors);
            }
        }
    }
    let errors = errors.into_inner();
    match error {
        // A field that stands twice, for one: JSON that cannot be taken in only one way.
        Some(error) if errors.is_empty() => malformed(error),
        _ => Problem::fields(Code::InvalidRequest, errors),
    }
}

fn explain_items(value: &Value, errors: &mut Errors) {
    let Some(fields) = errors.object(value, "", &["customer_id", "items"]) else {
        return;
    };
    explain_name(fields, "", "customer_id", errors);
    let Some(items) = errors.required(fields, "", "items") else {
        return;
    };
    let Value::Array(items) = items else {
        return errors.add("/items", "wrong_type", "must be a list");
    };
    if !(1..=MAX_LINES).contains(&items.len()) {
        errors.add(
            "/items",
            "out_of_range",
            format!("must have between 1 and {MAX_LINES} items: split the order"),
        );
    }
    for (index, item) in items.iter().enumerate().take(MAX_LINES) {
        let pointer = format!("/items/{index}");
        if let Some(fields) = errors.object(item, &pointer, &["product_id", "quantity"]) {
            explain_line(fields, &pointer, ["product_id", "quantity"], errors);
        }
    }
}

type Fields = serde_json::Map<String, Value>;

fn explain_line(fields: &Fields, pointer: &str, [product, quantity]: [&str; 2], errors: &mut Errors) {
    explain_name(fields, pointer, product, errors);
    if let Some(value) = errors.required(fields, pointer, quantity) {
        errors.integer(
            value,
            &format!("{pointer}/{quantity}"),
            1..=i64::from(MAX_LINE_QUANTITY),
        );
    }
}

fn explain_name(fields: &Fields, pointer: &str, name: &str, errors: &mut Errors) {
    if let Some(value) = errors.required(fields, pointer, name) {
        errors.reference(value, &format!("{pointer}/{name}"));
    }
}

/// A number is our id, a text is the merchant's own: read without the detour of an untagged enum.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
    struct Name;

    impl de::Visitor<'_> for Name {
        type Value = Reference;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("our id as a whole number or your reference as a text")
        }

        fn visit_i64<E: de::Error>(self, id: i64) -> Result<Reference, E> {
            Ok(Reference::Id(id))
        }

        fn visit_u64<E: de::Error>(self, id: u64) -> Result<Reference, E> {
            i64::try_from(id).map(Reference::Id).map_err(E::custom)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Reference, E> {
            Ok(Reference::Own(text.to_owned()))
        }
    }

    deserializer.deserialize_any(Name)
}

#[cfg(test)]
#[path = "order_request_tests.rs"]
mod tests;
