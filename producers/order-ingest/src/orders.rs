//! Taking an order: `POST /orders` and its aliases.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Request},
    response::Response,
};
use bytes::Bytes;
use domain::{
    amount::Minor,
    ids::{MerchantId, OrderId, ProductId},
};
use moka::future::Cache;
use schemas::events::{OrderCreated, OrderLine};
use serde::Serialize;
use store::orders::Order;
use uuid::Uuid;

use crate::{
    app::Ingest,
    auth, body,
    catalogue::Merchant,
    fields::FieldError,
    order_request::{Form, OrderRequest},
    problem::{Code, Problem},
    recent::Recent,
    trace::traceparent,
    view::{self, OrderView},
};

/// The most accepted orders remembered, and how long: so long a client finds its order pending before Postgres has it.
const MAX_ACCEPTED: usize = 100_000;
const ACCEPTED_AGE: Duration = Duration::from_mins(1);
/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// An order that Kafka holds.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) merchant: MerchantId,
    pub(crate) json: Bytes,
    id: OrderId,
    request_hash: Option<i64>,
    first_line: Option<(ProductId, i32)>,
}

/// The orders accepted lately.
pub(crate) struct AcceptedOrders {
    fresh: Recent<OrderId, Arc<Accepted>>,
    /// Those with an `Idempotency-Key`: also where requests with the same key wait for the one of them that is sent.
    keyed: Cache<OrderId, Arc<Accepted>>,
}

/// A keyed order that was refused, and what it asked for.
struct Refused {
    request_hash: i64,
    problem: Problem,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneLineView {
    order_id: OrderId,
    product_id: ProductId,
    quantity: i32,
    status: &'static str,
}

impl AcceptedOrders {
    pub(crate) fn new() -> Self {
        Self {
            fresh: Recent::new(MAX_ACCEPTED, ACCEPTED_AGE),
            keyed: Cache::builder()
                .max_capacity(MAX_ACCEPTED as u64)
                .time_to_live(ACCEPTED_AGE)
                .build(),
        }
    }

    pub(crate) async fn get(&self, id: &OrderId) -> Option<Arc<Accepted>> {
        if id.is_keyed() {
            self.keyed.get(id).await
        } else {
            self.fresh.get(id)
        }
    }
}

/// `POST /orders`
pub(crate) async fn post(State(ingest): State<Arc<Ingest>>, request: Request<Body>) -> Result<Response, Problem> {
    let order = accept(&ingest, request, Form::Items).await?;
    Ok(view::accepted(&format!("/orders/{}", order.id), order.json.clone()))
}

/// `POST /order` and `POST /api/gateway/orders`
pub(crate) async fn post_one_line(
    State(ingest): State<Arc<Ingest>>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let order = accept(&ingest, request, Form::OneLine).await?;
    let (product_id, quantity) = order.first_line.expect("an order that was accepted has a line");
    let json = view::json(&OneLineView {
        order_id: order.id,
        product_id,
        quantity,
        status: "pending",
    });
    Ok(view::accepted(&format!("/orders/{}", order.id), json))
}

async fn accept(ingest: &Arc<Ingest>, request: Request<Body>, form: Form) -> Result<Arc<Accepted>, Problem> {
    let merchant = auth::merchant(&ingest.catalogue, request.headers()).await?;
    let key = idempotency_key(request.headers())?;
    let trace = traceparent(request.headers());
    let body = body::read(request, &ingest.limits).await?;
    let order = OrderRequest::parse(&body, form)?;
    if let Some(key) = key {
        let id = OrderId::from_key(merchant.id, &key);
        return Box::pin(place_once(ingest, merchant, id, Arc::new(order), trace)).await;
    }
    // Should the client leave now, the order may still be placed; nobody was told its id.
    let id = OrderId::new(Uuid::now_v7());
    let accepted = place(ingest, &merchant, id, &order, None, &trace).await?;
    ingest.orders.fresh.insert(id, Arc::clone(&accepted));
    Ok(accepted)
}

/// Places a keyed order unless it was placed before, and gives every request of this key the same answer.
async fn place_once(
    ingest: &Arc<Ingest>,
    merchant: Arc<Merchant>,
    id: OrderId,
    order: Arc<OrderRequest>,
    trace: String,
) -> Result<Arc<Accepted>, Problem> {
    let request_hash = order.hash();
    loop {
        let (this, merchant, order, trace) = (
            Arc::clone(ingest),
            Arc::clone(&merchant),
            Arc::clone(&order),
            trace.clone(),
        );
        // A task of its own: others may wait for what this client began and then left.
        let placed = tokio::spawn(async move {
            let first = async {
                if let Some(before) = this.replay.find(merchant.id, id).await {
                    return Ok(Arc::new(Accepted::before(&before)));
                }
                place(&this, &merchant, id, &order, Some(request_hash), &trace)
                    .await
                    .map_err(|problem| Refused { request_hash, problem })
            };
            this.orders.keyed.try_get_with(id, first).await
        });
        // Not timed here: each thing it waits for has its own limit.
        match placed.await {
            Ok(Ok(order)) if order.request_hash == Some(request_hash) => return Ok(order),
            Ok(Ok(_)) => {
                let detail = "the order of this key asked for something else: use a new key for a new order";
                return Err(Problem::new(Code::IdempotencyKeyReused, detail));
            }
            // Somebody else's request of the same key was refused, which says nothing about this one.
            Ok(Err(refused)) if refused.request_hash != request_hash => {}
            Ok(Err(refused)) => return Err(refused.problem.clone()),
            Err(panicked) => return Err(Problem::internal(&panicked)),
        }
    }
}

async fn place(
    ingest: &Arc<Ingest>,
    merchant: &Merchant,
    id: OrderId,
    order: &OrderRequest,
    request_hash: Option<i64>,
    trace: &str,
) -> Result<Arc<Accepted>, Problem> {
    let event = price(ingest, merchant, id, order, request_hash).await?;
    ingest
        .events
        .publish(&ingest.events.orders, &event, (id, event.placed_at), trace)
        .await?;
    ingest.metrics.orders_accepted.inc();
    Ok(Arc::new(Accepted::now(&event)))
}

/// Looks everything up and adds it up, or says of every name what is wrong with it.
async fn price(
    ingest: &Arc<Ingest>,
    merchant: &Merchant,
    order_id: OrderId,
    order: &OrderRequest,
    request_hash: Option<i64>,
) -> Result<OrderCreated, Problem> {
    let mut wrong: Vec<(Code, FieldError)> = Vec::new();
    let mut add = |code: Code, pointer: String, detail: String| {
        wrong.push((code, FieldError::new(pointer, code.word(), detail)));
    };
    let customer = ingest.catalogue.customer(merchant, &order.customer).await?;
    if customer.is_none() {
        let detail = format!("you have no customer {}", order.customer);
        add(Code::UnknownCustomer, order.customer_pointer().to_owned(), detail);
    }
    let mut lines = Vec::with_capacity(order.lines.len());
    let mut total = Ok(Minor::ZERO);
    for (index, line) in order.lines.iter().enumerate() {
        match merchant.product(&line.product) {
            Some(product) if product.active => {
                let cost = product.price.times(line.quantity.into());
                total = total.and_then(|total| total.plus(cost?));
                lines.push(OrderLine {
                    product_id: product.id,
                    quantity: line.quantity,
                    unit_price_minor: product.price,
                });
            }
            Some(_) => {
                let detail = format!("product {} is not sold now", line.product);
                add(Code::ProductInactive, order.product_pointer(index), detail);
            }
            None => {
                let detail = format!("you have no product {}", line.product);
                add(Code::UnknownProduct, order.product_pointer(index), detail);
            }
        }
    }
    match (customer, total, wrong.first()) {
        (Some(customer), Ok(total_minor), None) => Ok(OrderCreated {
            order_id,
            merchant_id: merchant.id,
            customer_id: customer.id,
            customer_email: customer.email.clone(),
            currency: merchant.currency,
            lines,
            total_minor,
            placed_at: stream::now(),
            request_hash,
        }),
        (_, _, Some(&(code, _))) => Err(Problem::fields(
            code,
            wrong.into_iter().map(|(_, error)| error).collect(),
        )),
        _ => Err(Problem::new(Code::TotalOutOfRange, "order less at a time")),
    }
}

impl Accepted {
    fn now(order: &OrderCreated) -> Self {
        Self {
            merchant: order.merchant_id,
            json: view::json(&OrderView::pending(order)),
            id: order.order_id,
            request_hash: order.request_hash,
            first_line: order.lines.first().map(|line| (line.product_id, line.quantity)),
        }
    }

    fn before(order: &Order) -> Self {
        Self {
            merchant: order.merchant_id,
            json: view::json(&OrderView::as_accepted(order)),
            id: order.id,
            request_hash: order.request_hash,
            first_line: order.lines.first().map(|line| (line.product_id, line.quantity)),
        }
    }
}

/// The key a client names its order by.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(key) = given.next() else { return Ok(None) };
    let visible = key.as_bytes().iter().all(u8::is_ascii_graphic);
    if !visible || !(1..=MAX_KEY).contains(&key.len()) || given.next().is_some() {
        let detail = format!("send one key of 1 to {MAX_KEY} visible ASCII characters");
        return Err(Problem::new(Code::InvalidIdempotencyKey, detail));
    }
    Ok(key.to_str().ok().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_given_once() {
        let headers = |keys: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
            }
            headers
        };
        assert_eq!(idempotency_key(&headers(&[])).unwrap(), None);
        assert_eq!(idempotency_key(&headers(&[b"a-1"])).unwrap().as_deref(), Some("a-1"));
        let long = vec![b'k'; 256].leak();
        assert!(idempotency_key(&headers(&[&long[..255]])).is_ok());
        for keys in [&[&b""[..]][..], &[b"a b"], &[b"\xc3\xa4"], &[b"a", b"a"], &[long]] {
            assert!(idempotency_key(&headers(keys)).is_err(), "{keys:?}");
        }
    }
}
