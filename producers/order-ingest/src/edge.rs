//! Around every request: its id, its place among the others, its metrics, and one look for everything that went wrong.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, State},
    http::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;

use crate::{
    app::Ingest,
    problem::{Code, INTERNAL, Problem},
    trace::{REQUEST_ID, request_id},
};

/// Handles a request and finishes its answer.
pub(crate) async fn around(State(ingest): State<Arc<Ingest>>, request: Request<Body>, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match ingest.requests.try_acquire() {
        Ok(_place) => caught(next.run(request)).await,
        Err(_) => Problem::new(Code::Overloaded, "try again in a moment").into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let id = id.to_str().unwrap_or_default();
        if response.status().is_server_error() {
            tracing::warn!(request_id = id, code = problem.code().word(), "refused");
        }
        ingest.metrics.refused.with_label_values(&[problem.code().word()]).inc();
        *response.body_mut() = problem.render(id);
    }
    response.headers_mut().insert(&REQUEST_ID, id);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    ingest
        .metrics
        .requests
        .with_label_values(&[route, response.status().as_str()])
        .inc();
    ingest
        .metrics
        .seconds
        .with_label_values(&[route])
        .observe(started.elapsed().as_secs_f64());
    response
}

/// Nothing is at that path.
pub(crate) async fn not_found() -> Problem {
    Problem::new(
        Code::NotFound,
        "the path is not one of this service's: see docs/interfaces",
    )
}

/// Something is at that path, but not for that method.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "use a method that Allow lists")
}

/// A panic ends the request, not the connection: its client is told as well.
async fn caught(answer: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Internal, INTERNAL).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        let response = caught(async { panic!("on purpose") }).await;
        assert_eq!(response.status(), 500);
        let problem = response.extensions().get::<Arc<Problem>>().unwrap();
        assert_eq!(problem.code(), Code::Internal);
    }
}
