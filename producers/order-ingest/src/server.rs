//! Accepting connections. Heads that do not arrive and connections that idle are closed, and there are only so many.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use prometheus::IntGauge;
use service::Shutdown;
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt as _;

use crate::config::Limits;

/// How long to wait when no connection can be accepted: what is short then are file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until asked to stop; then finishes the requests that are there.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    connections: &IntGauge,
    shutdown: &Shutdown,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .pipeline_flush(true);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = async {
            // Without a place the connection waits in the kernel's queue.
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("nobody closes this semaphore");
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let (stream, place) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = shutdown.requested() => break,
        };
        // An answer is one write; waiting to fill a packet would only delay it. Where it fails the client is gone.
        let _ = stream.set_nodelay(true);
        let service = router
            .clone()
            .map_request(|request: hyper::Request<Incoming>| request.map(Body::new));
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        let open = connections.clone();
        tokio::spawn(async move {
            open.inc();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            open.dec();
            drop(place);
        });
    }
    drop(listener);
    // Who connected and has sent nothing is not waited for as long as a client may be silent.
    if tokio::time::timeout(limits.body_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections that would not end are closed");
    }
}
