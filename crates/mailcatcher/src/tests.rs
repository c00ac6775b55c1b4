//! Talks to the catcher as a client would, byte by byte.

use std::error::Error;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;

type Outcome = Result<(), Box<dyn Error>>;

const SOON: Duration = Duration::from_secs(10);

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(catcher: &MailCatcher) -> io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(catcher.addr()).await?)))
    }

    /// The next reply, all its lines; empty when the server hung up.
    async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            reply.push_str(&line);
            if !more {
                return Ok(reply);
            }
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<String> {
        self.0.write_all(text.as_bytes()).await?;
        self.reply().await
    }

    /// A whole mail; the replies' codes.
    async fn send(&mut self, message: &str) -> io::Result<Vec<String>> {
        let mut codes = Vec::new();
        for command in [
            "MAIL FROM:<shop@example.com> SIZE=10\r\n",
            "RCPT TO:<cook@example.com>\r\n",
            "DATA\r\n",
            message,
        ] {
            let reply = self.say(command).await?;
            codes.push(reply.chars().take(3).collect::<String>());
            if !reply.starts_with(['2', '3']) {
                break;
            }
        }
        Ok(codes)
    }
}

async fn greeted(catcher: &MailCatcher) -> io::Result<Client> {
    let mut client = Client::connect(catcher).await?;
    assert!(client.reply().await?.starts_with("220 "));
    let hello = client.say("EHLO test\r\n").await?;
    assert!(
        hello.contains("8BITMIME") && hello.contains("PIPELINING") && hello.contains("SIZE"),
        "{hello}"
    );
    Ok(client)
}

#[tokio::test]
async fn a_mail_is_kept_without_its_transport_dots() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    let mut client = greeted(&catcher).await?;
    let codes = client.send("Subject: low\r\n\r\n..dot\r\n.\r\n").await?;
    assert_eq!(codes, ["250", "250", "354", "250"]);
    let mails = catcher.wait_for(1, SOON).await?;
    assert_eq!(mails[0].from, "shop@example.com");
    assert_eq!(mails[0].to, ["cook@example.com"]);
    assert_eq!(mails[0].text(), "Subject: low\r\n\r\n.dot\r\n");
    assert!(client.say("QUIT\r\n").await?.starts_with("221 "));
    Ok(())
}

#[tokio::test]
async fn commands_sent_at_once_are_answered_in_order() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    let mut client = greeted(&catcher).await?;
    let mut replies = vec![
        client
            .say("MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<>\r\nDATA\r\n")
            .await?,
    ];
    for _ in 0..3 {
        replies.push(client.reply().await?);
    }
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "501", "354"]);
    Ok(())
}

#[tokio::test]
async fn each_mail_becomes_a_numbered_file() -> Outcome {
    let dir = tempfile::tempdir()?;
    let config = Config {
        dir: Some(dir.path().join("mails")),
        ..Config::default()
    };
    let catcher = MailCatcher::start(config).await?;
    let mut client = greeted(&catcher).await?;
    for subject in ["one", "two"] {
        client.send(&format!("Subject: {subject}\r\n\r\n.\r\n")).await?;
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join("mails").join(name));
    assert_eq!(read("000001.eml")?, "Subject: one\r\n\r\n");
    assert_eq!(read("000002.eml")?, "Subject: two\r\n\r\n");
    Ok(())
}

#[tokio::test]
async fn scripted_replies_come_in_turn_and_then_end() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    catcher.fail_next(Stage::Mail, Reply::status(450, "4.2.1 busy"));
    catcher.fail_next(Stage::Rcpt, Reply::status(550, "5.1.1 no such user"));
    catcher.fail_next(Stage::Data, Reply::status(451, "4.3.0 not now"));
    catcher.fail_next(Stage::AfterDot, Reply::status(452, "4.3.1 full"));
    let mut client = greeted(&catcher).await?;
    let mut last_codes = Vec::new();
    for _ in 0..5 {
        last_codes.extend(client.send("Subject: x\r\n\r\n.\r\n").await?.pop());
        client.say("RSET\r\n").await?;
    }
    assert_eq!(last_codes, ["450", "550", "451", "452", "250"]);
    assert_eq!(catcher.mails().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_standing_fault_sees_the_address_until_told_to_behave() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    catcher.fail_when(Stage::Rcpt, |to| {
        to.starts_with("cook@").then(|| Reply::status(550, "5.1.1 gone"))
    });
    let mut client = greeted(&catcher).await?;
    assert_eq!(client.send("\r\n.\r\n").await?, ["250", "550"]);
    assert!(client.say("RCPT TO:<boss@example.com>\r\n").await?.starts_with("250"));
    catcher.behave();
    assert!(client.say("RCPT TO:<cook@example.com>\r\n").await?.starts_with("250"));
    Ok(())
}

#[tokio::test]
async fn closing_after_the_dot_leaves_the_client_unsure() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    for (fault, kept) in [(Reply::Close, 0), (Reply::KeepAndClose, 1)] {
        catcher.fail_next(Stage::AfterDot, fault);
        let mut client = greeted(&catcher).await?;
        let codes = client.send("Subject: x\r\n\r\n.\r\n").await?;
        assert_eq!(
            codes.last().map(String::as_str),
            Some(""),
            "hung up instead of answering"
        );
        assert_eq!(catcher.mails().len(), kept);
    }
    Ok(())
}

#[tokio::test]
async fn a_421_closes_the_connection() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    catcher.fail_next(Stage::Greeting, Reply::status(421, "4.3.2 going down"));
    let mut client = Client::connect(&catcher).await?;
    let mut all = String::new();
    client.0.read_to_string(&mut all).await?;
    assert_eq!(all, "421 4.3.2 going down\r\n");
    Ok(())
}

#[tokio::test]
async fn a_stalled_server_says_nothing_and_keeps_the_connection() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    catcher.fail_next(Stage::Mail, Reply::Stall);
    let mut client = greeted(&catcher).await?;
    client.0.write_all(b"MAIL FROM:<a@example.com>\r\n").await?;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), client.reply())
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn a_bare_line_feed_is_refused_and_cannot_end_the_message() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    let mut client = greeted(&catcher).await?;
    let codes = client
        .send("Subject: x\r\n\r\nhello\n.\nMAIL FROM:<evil@example.com>\r\n.\r\n")
        .await?;
    assert_eq!(codes.last().map(String::as_str), Some("550"));
    assert!(catcher.mails().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_too_large_is_refused() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    let mut client = greeted(&catcher).await?;
    assert!(
        client
            .say("MAIL FROM:<a@example.com> SIZE=99999999\r\n")
            .await?
            .starts_with("552")
    );
    let endless = "x".repeat(10_000);
    assert!(client.say(&endless).await?.starts_with("500"));
    Ok(())
}

#[tokio::test]
async fn waiting_in_vain_tells_how_many_came() -> Outcome {
    let catcher = MailCatcher::start(Config::default()).await?;
    let error = catcher
        .wait_for(1, Duration::from_millis(10))
        .await
        .expect_err("no mail was sent");
    assert_eq!((error.wanted, error.got), (1, 0));
    Ok(())
}
