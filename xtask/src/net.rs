//! Ports and the two questions asked of a server over a bare socket: does HTTP answer 200, does a broker know itself.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

const PATIENCE: Duration = Duration::from_secs(2);

/// The first of `wanted` that nothing listens on, else any free port.
pub(crate) fn free_port(wanted: &[u16]) -> Result<u16> {
    for port in wanted.iter().copied().chain([0]) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?.port());
        }
    }
    anyhow::bail!("no free port on 127.0.0.1")
}

/// The status of `GET http://127.0.0.1:port/path`.
pub(crate) fn http_status(port: u16, path: &str) -> Result<u16> {
    let mut stream = connect(port)?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let status = std::str::from_utf8(&answer[9..])?;
    status.parse().context("the answer is not HTTP")
}

/// Whether a Kafka broker answers and counts at least one broker (itself) as ready to lead partitions. A mere connection
/// succeeds seconds earlier, when topics cannot yet be created.
pub(crate) fn broker_ready(port: u16) -> Result<bool> {
    // Metadata request, version 1: api key, version, correlation id, no client id, no topics.
    const METADATA: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = connect(port)?;
    stream.write_all(&METADATA)?;
    let mut answer = [0; 12]; // length, correlation id, number of brokers
    stream.read_exact(&mut answer)?;
    Ok(answer[8..] != [0; 4])
}

/// A connection whose reads and writes cannot hang.
pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
