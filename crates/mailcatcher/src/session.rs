//! One connection: RFC 5321 as far as a sending client uses it.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::{Mail, Reply, Shared, Stage};

/// RFC 5321 asks for 512 in commands and 1000 in text, both with CRLF; longer is tolerated to here.
const LONGEST_LINE: usize = 8 * 1024;
const LARGEST_MESSAGE: usize = 10 * 1024 * 1024;
const MOST_RECIPIENTS: usize = 100;

/// The transfer so far; `MAIL` begins one.
#[derive(Debug)]
struct Transfer {
    from: String,
    to: Vec<String>,
}

struct Session<'a> {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    shared: &'a Shared,
    transfer: Option<Transfer>,
}

/// Talks to one client until it quits, hangs up or is thrown out by a scripted fault.
pub(crate) async fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    // Replies are one small write each and the client waits for them.
    stream.set_nodelay(true)?;
    let (input, output) = stream.into_split();
    let mut session = Session {
        input: BufReader::new(input),
        output,
        shared,
        transfer: None,
    };
    if session.passes(Stage::Greeting, "").await? {
        session.say("220 mailcatcher ready").await?;
    }
    loop {
        let line = session.line().await?;
        let Ok(line) = str::from_utf8(&line) else {
            session.say("500 5.5.2 not UTF-8").await?;
            continue;
        };
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                session.transfer = None;
                let hello = format!(
                    "250-mailcatcher\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 SIZE {LARGEST_MESSAGE}"
                );
                session.say(&hello).await?;
            }
            "HELO" => {
                session.transfer = None;
                session.say("250 mailcatcher").await?;
            }
            "MAIL" => session.mail(argument).await?,
            "RCPT" => session.rcpt(argument).await?,
            "DATA" => session.data().await?,
            "RSET" => {
                session.transfer = None;
                session.say("250 2.0.0 forgotten").await?;
            }
            "NOOP" => session.say("250 2.0.0 still here").await?,
            "VRFY" => session.say("252 2.1.5 send it and see").await?,
            "QUIT" => return session.say("221 2.0.0 bye").await,
            _ => session.say("502 5.5.1 not a command of this server").await?,
        }
    }
}

impl Session<'_> {
    async fn mail(&mut self, argument: &str) -> io::Result<()> {
        if self.transfer.is_some() {
            return self.say("503 5.5.1 a mail is under way").await;
        }
        let Some((from, parameters)) = address(argument, "FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<address> expected").await;
        };
        let sizes = parameters
            .split(' ')
            .filter_map(|word| word.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if sizes.into_iter().any(|size| size > LARGEST_MESSAGE) {
            return self.say("552 5.3.4 message too large").await;
        }
        if self.passes(Stage::Mail, from).await? {
            self.transfer = Some(Transfer {
                from: from.to_owned(),
                to: Vec::new(),
            });
            self.say("250 2.1.0 sender ok").await?;
        }
        Ok(())
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<()> {
        let Some(taken) = self.transfer.as_ref().map(|transfer| transfer.to.len()) else {
            return self.say("503 5.5.1 MAIL first").await;
        };
        let Some((to, _)) = address(argument, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return self.say("501 5.5.4 RCPT TO:<address> expected").await;
        };
        if taken >= MOST_RECIPIENTS {
            return self.say("452 4.5.3 too many recipients").await;
        }
        if self.passes(Stage::Rcpt, to).await? {
            if let Some(transfer) = &mut self.transfer {
                transfer.to.push(to.to_owned());
            }
            self.say("250 2.1.5 recipient ok").await?;
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        let Some(transfer) = self.transfer.take_if(|transfer| !transfer.to.is_empty()) else {
            return self.say("503 5.5.1 RCPT first").await;
        };
        if !self.passes(Stage::Data, "").await? {
            return Ok(());
        }
        self.say("354 end with a dot on a line of its own").await?;
        let message = match self.message().await? {
            Ok(message) => message,
            Err(refusal) => return self.say(refusal).await,
        };
        let mail = Mail {
            from: transfer.from,
            to: transfer.to,
            message,
            accepted: Instant::now(),
        };
        match self.shared.script.next(Stage::AfterDot, "") {
            None => {
                self.shared.keep(mail).await?;
                self.say("250 2.0.0 kept").await
            }
            Some(Reply::KeepAndClose) => {
                self.shared.keep(mail).await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(fault) => self.fail(fault).await,
        }
    }

    /// Reads the message up to the dot that ends it; a message that is refused is read to its end all the same.
    async fn message(&mut self) -> io::Result<Result<Vec<u8>, &'static str>> {
        let mut message = Vec::new();
        let mut refusal = None;
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                return Ok(refusal.map_or(Ok(message), Err));
            }
            // A server that takes a bare CR or LF for a line end can be made to read one mail as two; be the one that tells.
            let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
            if text.len() == line.len() || text.contains(&b'\r') {
                refusal = Some("550 5.6.0 a bare CR or LF in the message");
            }
            let unstuffed = line.strip_prefix(b".").unwrap_or(&line);
            if message.len() + unstuffed.len() > LARGEST_MESSAGE {
                refusal = Some("552 5.3.4 message too large");
            } else {
                message.extend_from_slice(unstuffed);
            }
        }
    }

    /// The next line with its end; a client that hangs up or sends one without end is dropped.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
        (&mut self.input).take(limit).read_until(b'\n', &mut line).await?;
        if line.ends_with(b"\n") {
            return Ok(line);
        }
        if line.len() == LONGEST_LINE {
            self.say("500 5.5.2 line too long").await?;
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Whether the stage succeeds; else its scripted fault has been played.
    async fn passes(&mut self, stage: Stage, argument: &str) -> io::Result<bool> {
        match self.shared.script.next(stage, argument) {
            None => Ok(true),
            Some(fault) => self.fail(fault).await.map(|()| false),
        }
    }

    async fn fail(&mut self, fault: Reply) -> io::Result<()> {
        match fault {
            Reply::Status(code, text) => {
                self.say(&format!("{code} {text}")).await?;
                if code == 421 {
                    Err(io::ErrorKind::ConnectionAborted.into())
                } else {
                    Ok(())
                }
            }
            Reply::Stall => {
                // Until the client gives up: whatever it still sends stays unanswered.
                tokio::io::copy(&mut self.input, &mut tokio::io::sink()).await?;
                Err(io::ErrorKind::TimedOut.into())
            }
            Reply::Close | Reply::KeepAndClose => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.output.write_all(format!("{reply}\r\n").as_bytes()).await
    }
}

/// `FROM:<a@example.com> SIZE=9` → the address and what follows.
fn address<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let rest = argument.get(keyword.len()..)?;
    if !argument.get(..keyword.len())?.eq_ignore_ascii_case(keyword) {
        return None;
    }
    rest.trim_start().strip_prefix('<')?.split_once('>')
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_what_stands_between_the_brackets() {
        assert_eq!(
            address("FROM:<a@b.example> SIZE=9", "FROM:"),
            Some(("a@b.example", " SIZE=9"))
        );
        assert_eq!(address("from: <>", "FROM:"), Some(("", "")));
        assert_eq!(address("FROM:a@b.example", "FROM:"), None);
        assert_eq!(address("TO:<a>", "FROM:"), None);
        assert_eq!(address("F", "FROM:"), None);
    }
}
