//! Changing stock by hand: `POST /ingredients/{id}/adjustments`, `GET /adjustments/{id}`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{Request, StatusCode},
    response::Response,
};
use bytes::Bytes;
use domain::{
    amount::Quantity,
    ids::{AdjustmentId, IngredientId, MerchantId, Reference},
};
use moka::future::Cache;
use schemas::events::{AdjustmentKind, StockAdjusted};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    app::Ingest,
    auth,
    body::{self, malformed},
    catalogue::apart,
    fields::Errors,
    problem::{Code, Problem},
    trace::traceparent,
    view::{self, AdjustmentView},
};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;
const MAX_ACCEPTED: u64 = 10_000;
const ACCEPTED_AGE: Duration = Duration::from_mins(1);

/// Whose it is, and how it looks while it is pending.
pub(crate) type AcceptedAdjustments = Cache<AdjustmentId, (MerchantId, Bytes)>;

pub(crate) fn remembered() -> AcceptedAdjustments {
    Cache::builder()
        .max_capacity(MAX_ACCEPTED)
        .time_to_live(ACCEPTED_AGE)
        .build()
}

/// `POST /ingredients/{id}/adjustments`
pub(crate) async fn post(
    State(ingest): State<Arc<Ingest>>,
    path: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let merchant = auth::merchant(&ingest.catalogue, request.headers()).await?;
    let unknown = || {
        Problem::new(
            Code::IngredientNotFound,
            "you have no ingredient of this id or reference",
        )
    };
    let Path(name) = path.map_err(|_| unknown())?;
    let name = name.parse().map_or(Reference::Own(name), Reference::Id);
    let ingredient = merchant.ingredient(&name).ok_or_else(unknown)?;
    if request.headers().contains_key("idempotency-key") {
        let detail = "adjustments take no Idempotency-Key: look at GET /stock before you repeat one";
        return Err(Problem::new(Code::InvalidIdempotencyKey, detail));
    }
    let trace = traceparent(request.headers());
    let body = body::read(request, &ingest.limits).await?;
    let change = Change::parse(&body)?;
    let event = change.of(merchant.id, ingredient);
    let id = event.adjustment_id;
    ingest
        .events
        .publish(&ingest.events.adjustments, &event, (id, event.adjusted_at), &trace)
        .await?;
    ingest.metrics.adjustments_accepted.inc();
    let json = view::json(&AdjustmentView::pending(&event));
    ingest.adjustments.insert(id, (merchant.id, json.clone())).await;
    Ok(view::accepted(&format!("/adjustments/{id}"), json))
}

/// `GET /adjustments/{id}`
pub(crate) async fn get(
    State(ingest): State<Arc<Ingest>>,
    path: Result<Path<Uuid>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let merchant = auth::merchant(&ingest.catalogue, request.headers()).await?.id;
    let unknown = || Problem::new(Code::AdjustmentNotFound, "you have no adjustment of this id");
    let id = AdjustmentId::new(path.map_err(|_| unknown())?.0);
    let database = ingest.database.clone();
    let found = apart(ingest.limits.database_timeout, async move {
        store::movements::find(&database, merchant, id).await
    });
    let json = match found.await? {
        Some(movement) => view::json(&AdjustmentView::decided(id, &movement)),
        None => match ingest.adjustments.get(&id).await {
            Some((owner, json)) if owner == merchant => json,
            _ => return Err(unknown()),
        },
    };
    Ok(view::answer(StatusCode::OK, json))
}

/// What a client wants changed.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    kind: AdjustmentKind,
    /// By how much it comes in or goes, or what lies on the shelf.
    number: i64,
    reason: String,
}

impl Change {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let value: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        let mut errors = Errors::default();
        let change = Self::read(&value, &mut errors);
        match (change, errors.into_inner()) {
            (Some(change), errors) if errors.is_empty() => Ok(change),
            (_, errors) => Err(Problem::fields(Code::InvalidRequest, errors)),
        }
    }

    fn read(value: &Value, errors: &mut Errors) -> Option<Self> {
        let fields = errors.object(value, "", &["kind", "amount", "level", "reason"])?;
        let reason = errors
            .required(fields, "", "reason")
            .and_then(|reason| errors.text(reason, "/reason", MAX_REASON));
        let kind = match errors.required(fields, "", "kind")?.as_str() {
            Some("restock") => AdjustmentKind::Restock,
            Some("waste") => AdjustmentKind::Waste,
            Some("recount") => AdjustmentKind::Recount,
            _ => {
                errors.add("/kind", "not_allowed", "must be restock, waste or recount");
                return None;
            }
        };
        let (taken, left, least) = match kind {
            AdjustmentKind::Recount => ("level", "amount", 0),
            AdjustmentKind::Restock | AdjustmentKind::Waste => ("amount", "level", 1),
        };
        if fields.contains_key(left) {
            errors.add(
                format!("/{left}"),
                "not_allowed",
                format!("{} takes {taken} only", kind.as_str()),
            );
        }
        let number = errors.required(fields, "", taken)?;
        let number = errors.integer(number, &format!("/{taken}"), least..=Quantity::MAX.get());
        Some(Self {
            kind,
            number: number?,
            reason: reason?.to_owned(),
        })
    }

    fn of(self, merchant_id: MerchantId, ingredient_id: IngredientId) -> StockAdjusted {
        let (amount, level) = match self.kind {
            AdjustmentKind::Restock => (Some(self.number), None),
            AdjustmentKind::Waste => (Some(-self.number), None),
            AdjustmentKind::Recount => (None, Some(self.number)),
        };
        StockAdjusted {
            adjustment_id: AdjustmentId::new(Uuid::now_v7()),
            merchant_id,
            ingredient_id,
            kind: self.kind,
            amount,
            level,
            reason: self.reason,
            adjusted_at: stream::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waste_is_negative_on_the_topic() {
        let change = Change::parse(br#"{"kind":"waste","amount":5,"reason":"fell down"}"#).unwrap();
        let event = change.of(MerchantId::new(1), IngredientId::new(2));
        assert_eq!((event.amount, event.level), (Some(-5), None));
        let change = Change::parse(br#"{"kind":"recount","level":0,"reason":"counted"}"#).unwrap();
        let event = change.of(MerchantId::new(1), IngredientId::new(2));
        assert_eq!((event.amount, event.level), (None, Some(0)));
    }

    #[test]
    fn a_change_takes_what_its_kind_needs_and_nothing_else() {
        let long = format!(r#"{{"kind":"restock","amount":1,"reason":"{}"}}"#, "x".repeat(501));
        for body in [
            r#"{"kind":"restock","amount":0,"reason":"r"}"#,
            r#"{"kind":"waste","amount":-1,"reason":"r"}"#,
            r#"{"kind":"recount","level":-1,"reason":"r"}"#,
            r#"{"kind":"recount","amount":1,"reason":"r"}"#,
            r#"{"kind":"restock","amount":1,"level":1,"reason":"r"}"#,
            r#"{"kind":"restock","amount":1000000000001,"reason":"r"}"#,
            r#"{"kind":"restock","amount":1.5,"reason":"r"}"#,
            r#"{"kind":"sale","amount":1,"reason":"r"}"#,
            r#"{"kind":"restock","amount":1,"reason":""}"#,
            r#"{"kind":"restock","amount":1,"reason":"a\u0000b"}"#,
            r#"{"kind":"restock","amount":1}"#,
            r#"{"kind":"restock","amount":1,"reason":"r","by":"me"}"#,
            &long,
        ] {
            assert!(Change::parse(body.as_bytes()).is_err(), "{body:.80}");
        }
    }
}
