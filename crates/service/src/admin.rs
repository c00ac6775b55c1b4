//! The admin port: whether the process lives, whether it can work, and what it counts.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{context::Context, metrics};

/// The admin port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin port: choose another with --admin-listen or LARDER_ADMIN_LISTEN")]
pub struct AdminError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// The admin port of this process. It answers until this is dropped, so also while services stop.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Admin {
    /// Opens the port; port 0 takes any that is free.
    pub async fn start(address: SocketAddr, context: &Context) -> Result<Self, AdminError> {
        let refused = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let router = Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_text))
            .with_state(context.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the admin port died");
            }
        });
        tracing::info!(%addr, "admin port: /livez /readyz /metrics");
        Ok(Self { addr, server })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn readyz(State(context): State<Context>) -> Response {
    let mut missing = context.health.missing();
    if context.shutdown.is_requested() {
        missing.insert("process", "stopping".to_owned());
    }
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({ "ready": missing.is_empty(), "not_ready": missing });
    (status, axum::Json(body)).into_response()
}

async fn metrics_text(State(context): State<Context>) -> Response {
    match metrics::render(&context.metrics) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
