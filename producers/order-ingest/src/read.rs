//! Reading orders and stock, from Postgres.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{Request, StatusCode},
    response::Response,
};
use domain::ids::OrderId;
use uuid::Uuid;

use crate::{
    app::Ingest,
    auth,
    catalogue::apart,
    problem::{Code, Problem},
    view::{self, OrderView, StockView},
};

/// `GET /orders/{id}`
pub(crate) async fn order(
    State(ingest): State<Arc<Ingest>>,
    path: Result<Path<Uuid>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let merchant = auth::merchant(&ingest.catalogue, request.headers()).await?.id;
    let unknown = || Problem::new(Code::OrderNotFound, "you have no order of this id");
    let id = OrderId::new(path.map_err(|_| unknown())?.0);
    let database = ingest.database.clone();
    let found = apart(ingest.limits.database_timeout, async move {
        store::orders::find(&database, merchant, id).await
    });
    let json = match found.await? {
        Some(order) => view::json(&OrderView::decided(&order)),
        // Not decided yet, so Postgres does not know it.
        None => match ingest.orders.get(&id).await {
            Some(accepted) if accepted.merchant == merchant => accepted.json.clone(),
            _ => return Err(unknown()),
        },
    };
    Ok(view::answer(StatusCode::OK, json))
}

/// `GET /stock`
pub(crate) async fn stock(State(ingest): State<Arc<Ingest>>, request: Request<Body>) -> Result<Response, Problem> {
    let merchant = auth::merchant(&ingest.catalogue, request.headers()).await?.id;
    let database = ingest.database.clone();
    let levels = apart(ingest.limits.database_timeout, async move {
        store::stock_levels::list(&database, merchant).await
    });
    Ok(view::answer(
        StatusCode::OK,
        view::json(&StockView::from(levels.await?)),
    ))
}
