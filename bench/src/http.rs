//! A small HTTP/1.1 client: one kept-alive connection, one request at a time.
//!
//! It shares the cores with what it measures, so a request is bytes made beforehand, and an answer stays where it was
//! read. What our servers and the peers' never send is an error here: answers without a length, or in chunks.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The most that an answer may take.
const LONGEST: usize = 1 << 20;

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend([
            "Content-Type: application/json\r\nContent-Length: ",
            &body.len().to_string(),
            "\r\n",
        ]);
    }
    text.extend(["\r\n", body]);
    text.into_bytes()
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A connection. A request that was given up half way leaves it unusable.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: OwnedWriteHalf,
    answers: Answers,
}

/// The side of a connection on which answers come, in the order of their requests.
#[derive(Debug)]
pub(crate) struct Answers {
    half: OwnedReadHalf,
    /// What was read and not yet handed out begins at `taken`.
    buffer: Vec<u8>,
    taken: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("nobody answers at {address}"))?;
        stream.set_nodelay(true)?;
        let (half, requests) = stream.into_split();
        let answers = Answers {
            half,
            buffer: Vec::with_capacity(4096),
            taken: 0,
        };
        Ok(Self { requests, answers })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.requests.write_all(request).await?;
        self.answers.next().await
    }

    /// Both sides, for whoever sends while it waits.
    pub(crate) fn into_sides(self) -> (OwnedWriteHalf, Answers) {
        (self.requests, self.answers)
    }
}

impl Answers {
    /// The next answer, once all of it is there.
    pub(crate) async fn next(&mut self) -> Result<Answer<'_>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            self.read().await?;
        };
        let end = head.length + head.body;
        while self.buffer.len() < end {
            self.read().await?;
        }
        self.taken = end;
        Ok(Answer {
            status: head.status,
            body: &self.buffer[head.length..end],
        })
    }

    async fn read(&mut self) -> Result<()> {
        ensure!(self.buffer.len() < LONGEST, "an answer of more than {LONGEST} bytes");
        let read = self.half.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server closed the connection instead of answering");
        Ok(())
    }
}

/// What an answer begins with.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Its own bytes, the empty line included.
    length: usize,
    /// Bytes of the body behind it.
    body: usize,
}

impl Head {
    /// None until the whole of it is there.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("an answer that is not HTTP")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .with_context(|| format!("an answer that is not HTTP/1.1: {text}"))?;
        let mut body = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = Some(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in chunks, which this client does not read");
            }
        }
        let body = match body {
            None if status == 204 || status == 304 => 0,
            body => body.context("an answer without Content-Length")?,
        };
        Ok(Some(Self {
            status,
            length: end + 4,
            body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_request_has_the_length_of_its_body() {
        assert_eq!(
            request("POST", "/orders", &[("Authorization", "Bearer k")], "{}"),
            b"POST /orders HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer k\r\n\
              Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        assert_eq!(request("GET", "/", &[], ""), b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n");
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(Head::parse(&whole[..40]).unwrap(), None);
        let head = Head {
            status: 202,
            length: 44,
            body: 2,
        };
        assert_eq!(Head::parse(whole).unwrap(), Some(head));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn answers_are_told_apart_however_they_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text =
                b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
            assert_eq!(stream.read_u8().await.unwrap(), b'x');
            for part in text.chunks(7) {
                stream.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            // What is left unread when a connection is closed resets it, and takes away what is under way.
            assert_eq!(stream.read_u8().await.unwrap(), b'x');
        });
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.exchange(b"x").await.unwrap();
        assert_eq!((answer.status, answer.body), (202, b"abc".as_slice()));
        let answer = connection.exchange(b"x").await.unwrap();
        assert_eq!((answer.status, answer.body), (503, b"".as_slice()));
        server.await.unwrap();
        assert!(connection.exchange(b"x").await.is_err());
    }
}
