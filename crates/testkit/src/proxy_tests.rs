use std::time::Duration;

use tokio::{io::AsyncBufReadExt as _, io::BufStream, time::timeout};

use super::*;
use crate::wait_until;

const SOON: Duration = Duration::from_secs(10);

/// A server that says every line again; what it heard stays in `heard`.
async fn echo() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(String::new()));
    let everything = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let everything = Arc::clone(&everything);
            tokio::spawn(async move {
                let (mut stream, mut line) = (BufStream::new(stream), String::new());
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    everything.lock().unwrap().push_str(&line);
                    let _ = stream.write_all(line.as_bytes()).await;
                    let _ = stream.flush().await;
                    line.clear();
                }
            });
        }
    });
    (addr, heard)
}

struct Client(BufStream<TcpStream>);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        Self(BufStream::new(TcpStream::connect(proxy.addr()).await.unwrap()))
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// A line, or nothing when the connection is gone.
    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match timeout(SOON, self.0.read_line(&mut line))
            .await
            .expect("a line or an end in time")
        {
            Ok(read) if read > 0 && line.ends_with('\n') => Some(line),
            _ => None,
        }
    }

    async fn ask(&mut self, text: &str) -> Option<String> {
        self.say(text).await;
        self.hear().await
    }
}

#[tokio::test]
async fn bytes_pass_until_the_line_is_cut_and_new_ones_work() {
    let proxy = Proxy::start(echo().await.0).await;
    let mut client = Client::connect(&proxy).await;
    assert_eq!(client.ask("one\n").await.as_deref(), Some("one\n"));
    assert_eq!(proxy.open(), 1);
    proxy.cut();
    assert_eq!(client.hear().await, None);
    assert_eq!(
        Client::connect(&proxy).await.ask("two\n").await.as_deref(),
        Some("two\n")
    );
}

#[tokio::test]
async fn a_refusing_line_ends_every_connection_until_it_passes_again() {
    let proxy = Proxy::start(echo().await.0).await;
    let mut client = Client::connect(&proxy).await;
    assert!(client.ask("one\n").await.is_some());
    proxy.refuse();
    assert_eq!(client.hear().await, None);
    assert_eq!(Client::connect(&proxy).await.hear().await, None);
    proxy.pass();
    assert!(Client::connect(&proxy).await.ask("two\n").await.is_some());
}

#[tokio::test]
async fn a_stalled_line_holds_bytes_back_and_loses_none() {
    let (server, heard) = echo().await;
    let proxy = Proxy::start(server).await;
    let (mut cut, mut client) = (Client::connect(&proxy).await, Client::connect(&proxy).await);
    assert!(cut.ask("one\n").await.is_some());
    proxy.stall();
    cut.say("two\n").await;
    proxy.cut();
    assert_eq!(cut.hear().await, None);
    assert_eq!(client.hear().await, None);
    client = Client::connect(&proxy).await;
    client.say("three\n").await;
    proxy.pass();
    assert_eq!(client.hear().await.as_deref(), Some("three\n"));
    assert_eq!(
        *heard.lock().unwrap(),
        "one\nthree\n",
        "what was held back when the line was cut never arrived"
    );
}

#[tokio::test]
async fn an_answer_is_lost_although_the_server_heard_the_question() {
    let (server, heard) = echo().await;
    let proxy = Proxy::start(server).await;
    proxy.cut_at(Direction::ToServer, At::After(b"COMMIT\n".to_vec()));
    let mut client = Client::connect(&proxy).await;
    assert!(client.ask("BEGIN\n").await.is_some());
    // In two pieces, so that the pattern is found across them.
    client.say("COM").await;
    client.say("MIT\n").await;
    assert_eq!(client.hear().await, None);
    assert_eq!(proxy.cuts_done(), 1);
    wait_until("the server to hear it", SOON, async || {
        heard.lock().unwrap().ends_with("COMMIT\n")
    })
    .await;
    assert!(
        Client::connect(&proxy).await.ask("COMMIT\n").await.is_some(),
        "a plan is carried out once"
    );
}

#[tokio::test]
async fn a_question_is_lost_before_the_server_hears_it() {
    let (server, heard) = echo().await;
    let proxy = Proxy::start(server).await;
    proxy.cut_at(Direction::ToServer, At::Before(b"COMMIT".to_vec()));
    let mut client = Client::connect(&proxy).await;
    assert!(client.ask("BEGIN\n").await.is_some());
    assert_eq!(client.ask("COMMIT\n").await, None);
    wait_until("the connection to be gone", SOON, async || proxy.open() == 0).await;
    assert_eq!(*heard.lock().unwrap(), "BEGIN\n");
}

#[tokio::test]
async fn a_line_is_cut_in_the_middle_of_an_answer() {
    let proxy = Proxy::start(echo().await.0).await;
    proxy.cut_at(Direction::ToClient, At::Bytes(6));
    let mut client = Client::connect(&proxy).await;
    assert!(client.ask("one\n").await.is_some());
    assert_eq!(client.ask("two\n").await, None);
}

#[tokio::test]
async fn a_server_that_is_away_ends_the_connection() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::start(nobody.to_string()).await;
    assert_eq!(Client::connect(&proxy).await.hear().await, None);
}
