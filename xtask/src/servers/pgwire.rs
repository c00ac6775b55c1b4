//! Just enough of Postgres' wire protocol to run SQL on a server that trusts us. The archive has no psql, and a driver
//! would cost every newcomer a minute of compiling before the first server starts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};

use super::postgres::USER;
use crate::net;

const PROTOCOL_3_0: i32 = 196_608;

/// Runs `sql`, which may be many statements (one transaction, unless it says otherwise), and drops what it returns.
pub(crate) fn execute(port: u16, database: &str, sql: &str) -> Result<()> {
    let mut stream = net::connect(port)?;
    stream.set_read_timeout(None)?;

    let mut hello = PROTOCOL_3_0.to_be_bytes().to_vec();
    for word in ["user", USER, "database", database, ""] {
        hello.extend(word.as_bytes());
        hello.push(0);
    }
    stream.write_all(&with_length(&hello)?)?;
    until_ready(&mut stream).with_context(|| format!("cannot connect to the database {database}"))?;

    let mut query = sql.as_bytes().to_vec();
    query.push(0);
    stream.write_all(b"Q")?;
    stream.write_all(&with_length(&query)?)?;
    until_ready(&mut stream)
}

fn with_length(body: &[u8]) -> Result<Vec<u8>> {
    let length = i32::try_from(body.len() + 4).context("too much SQL at once")?;
    Ok([&length.to_be_bytes(), body].concat())
}

/// Reads messages up to `ReadyForQuery`; an error message on the way is the result.
fn until_ready(stream: &mut TcpStream) -> Result<()> {
    let mut failure = None;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length))?.saturating_sub(4);
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match kind {
            b'Z' => return failure.map_or(Ok(()), Err),
            b'E' => {
                let error = anyhow::anyhow!("postgres says: {}", error_text(&body));
                if body.starts_with(b"SFATAL\0") {
                    return Err(error); // the connection ends here, nothing follows
                }
                failure.get_or_insert(error);
            }
            b'R' if body != [0; 4] => bail!("postgres asks for a password, which xtask has none of"),
            _ => {}
        }
    }
}

/// Fields are a letter and a zero-ended text: C the SQLSTATE, M the message, D the detail, W where.
fn error_text(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let wanted = fields.filter(|field| b"CMDW".contains(&field[0]));
    wanted
        .map(|field| String::from_utf8_lossy(&field[1..]))
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errors_code_and_message_are_told() {
        let body = b"SERROR\0VERROR\0C42P04\0Mdatabase \"larder\" already exists\0Fdbcommands.c\0\0";
        assert_eq!(error_text(body), "42P04: database \"larder\" already exists");
    }
}
