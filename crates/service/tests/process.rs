//! Starting, supervising and stopping, as a service meets it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use std::{
    convert::Infallible,
    future::pending,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use service::{Admin, Context, Shutdown, Task};

/// A task that ends when it is asked to, and notes that it did.
fn polite(context: &Context) -> (Task, Arc<AtomicBool>) {
    let ended = Arc::new(AtomicBool::new(false));
    let (shutdown, note) = (context.shutdown.clone(), Arc::clone(&ended));
    let task = Task::new("polite", async move {
        shutdown.requested().await;
        note.store(true, Ordering::SeqCst);
        Ok::<_, Infallible>(())
    });
    (task, ended)
}

#[tokio::test]
async fn tasks_that_end_when_asked_are_a_success() {
    let context = Context::default();
    let (task, ended) = polite(&context);
    context.shutdown.request();
    assert_eq!(service::run(&context, vec![task]).await, ExitCode::SUCCESS);
    assert!(ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_fails_stops_the_others_and_fails_the_process() {
    let context = Context::default();
    let (task, ended) = polite(&context);
    let failing = Task::new("failing", async { Err::<(), _>("no more") });
    assert_eq!(service::run(&context, vec![task, failing]).await, ExitCode::FAILURE);
    assert!(ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_panics_stops_the_others_and_fails_the_process() {
    let context = Context::default();
    let (task, ended) = polite(&context);
    let panicking = Task::new("panicking", async {
        assert!(std::hint::black_box(false), "on purpose");
        Ok::<_, Infallible>(())
    });
    assert_eq!(service::run(&context, vec![task, panicking]).await, ExitCode::FAILURE);
    assert!(ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_leaves_by_itself_fails_the_process() {
    let leaving = Task::new("leaving", async { Ok::<_, Infallible>(()) });
    assert_eq!(
        service::run(&Context::default(), vec![leaving]).await,
        ExitCode::FAILURE
    );
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_cut_off_after_the_grace_period() {
    let context = Context::new(Shutdown::new(Duration::from_millis(10)));
    context.shutdown.request();
    let stuck = Task::new("stuck", pending::<Result<(), Infallible>>());
    assert_eq!(service::run(&context, vec![stuck]).await, ExitCode::FAILURE);
}

#[tokio::test]
async fn the_admin_port_tells_what_is_not_ready() {
    service::tls::install_crypto_provider();
    let context = Context::default();
    let admin = Admin::start("127.0.0.1:0".parse().unwrap(), &context).await.unwrap();
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{}{path}", admin.addr)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };

    assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await.0, 503, "nothing has started");
    context.health.not_ready("kafka", "no broker answers");
    context.health.ready("postgres");
    let (status, body) = get("/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (503, r#"{"not_ready":{"kafka":"no broker answers"},"ready":false}"#)
    );
    context.health.ready("kafka");
    assert_eq!(get("/readyz").await.0, 200);
    context.shutdown.request();
    assert_eq!(get("/readyz").await.0, 503, "a process that stops takes no new work");

    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("larder_build_info{version="), "{metrics}");
}
