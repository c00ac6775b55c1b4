//! Talking to the mail server: sessions that are kept for the next mail, and what its answers mean.
//!
//! A session is given back only after a whole mail. lettre's own pool takes a session back wherever a timeout left it,
//! and the next mail would then read the answers to the last one; so sessions are kept here.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
        response::Category,
    },
};
use tokio::time::timeout;

use crate::{
    message::Outgoing,
    server::{MailServer, SmtpConfig, SmtpConfigError},
};

/// How long a session is kept for the next mail.
const IDLE: Duration = Duration::from_secs(15);
/// How long a session that is given up may take to say so.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It never will be.
    #[error("the mail server refuses it: {0}")]
    Rejected(String),
    /// It may be later.
    #[error("the mail server does not take it now: {0}")]
    NotNow(String),
}

/// Sends messages, over a session that is still open where there is one.
pub struct Smtp {
    server: MailServer,
    hello: ClientId,
    send_timeout: Duration,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Smtp {
    /// Reads the configuration; connects to nobody yet.
    pub fn new(config: &SmtpConfig) -> Result<Self, SmtpConfigError> {
        Ok(Self {
            server: MailServer::new(config)?,
            hello: ClientId::default(),
            send_timeout: config.send_timeout,
            idle: Mutex::default(),
        })
    }

    /// Sends a message; when the server has taken it, names the recipients it refused.
    ///
    /// It is refused as a whole only where the server refuses the message or every recipient for good. Whatever goes
    /// wrong before the message itself (greeting, TLS, credentials) is no fault of the mail and may pass.
    pub async fn send(&self, message: &Outgoing) -> Result<Vec<String>, SendError> {
        // On a timeout the session is dropped where it stands: nobody knows what its next answer belongs to.
        match timeout(self.send_timeout, self.try_send(message)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::NotNow(format!("no answer within {:?}", self.send_timeout))),
        }
    }

    async fn try_send(&self, message: &Outgoing) -> Result<Vec<String>, SendError> {
        let mut session = self.open(message).await?;
        match deliver(&mut session, message).await {
            Ok(refused) => {
                self.park(session);
                Ok(refused)
            }
            Err(error) => {
                leave(session);
                Err(error)
            }
        }
    }

    /// A session that has taken the sender. A kept one may have gone stale: it is tried, and then a fresh one. Nothing
    /// was sent by then, so this cannot send a mail twice.
    async fn open(&self, message: &Outgoing) -> Result<AsyncSmtpConnection, SendError> {
        while let Some(mut session) = self.unpark() {
            match begin(&mut session, message).await {
                Ok(()) => return Ok(session),
                Err(error) => {
                    leave(session);
                    // An answer is an answer, unless it is the server's way to end a session it finds too old (421).
                    if error.status().is_some_and(|code| u16::from(code) != 421) {
                        return Err(judge(&error));
                    }
                }
            }
        }
        let mut session = self
            .server
            .connect(self.send_timeout, &self.hello)
            .await
            .map_err(|error| SendError::NotNow(error.to_string()))?;
        match begin(&mut session, message).await {
            Ok(()) => Ok(session),
            Err(error) => {
                leave(session);
                Err(judge(&error))
            }
        }
    }

    fn unpark(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((session, since)) = idle.pop() {
            if since.elapsed() < IDLE {
                return Some(session);
            }
            leave(session);
        }
        None
    }

    fn park(&self, session: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (stale, _) in idle.extract_if(.., |(_, since)| since.elapsed() >= IDLE) {
            leave(stale);
        }
        idle.push((session, Instant::now()));
    }

    /// Ends the sessions that are kept.
    pub fn close(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (session, _) in idle.drain(..) {
            leave(session);
        }
    }
}

async fn begin(session: &mut AsyncSmtpConnection, message: &Outgoing) -> Result<(), Error> {
    let mut parameters = Vec::new();
    let needs_utf8 = std::iter::once(&message.from)
        .chain(&message.to)
        .any(|address| !is_ascii(address));
    if needs_utf8 && session.server_info().supports_feature(Extension::SmtpUtfEight) {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    session
        .command(Mail::new(Some(message.from.clone()), parameters))
        .await
        .map(|_| ())
}

async fn deliver(session: &mut AsyncSmtpConnection, message: &Outgoing) -> Result<Vec<String>, SendError> {
    let speaks_utf8 = session.server_info().supports_feature(Extension::SmtpUtfEight);
    let mut refused = Vec::new();
    for to in &message.to {
        if !speaks_utf8 && !is_ascii(to) {
            refused.push(format!("{to} needs SMTPUTF8, which the mail server does not have"));
            continue;
        }
        match session.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) => match judge(&error) {
                SendError::Rejected(answer) => refused.push(format!("{to}: {answer}")),
                not_now @ SendError::NotNow(_) => return Err(not_now),
            },
        }
    }
    if refused.len() == message.to.len() {
        return Err(SendError::Rejected(refused.join("; ")));
    }
    session.command(Data).await.map_err(|error| judge(&error))?;
    session.message(&message.bytes).await.map_err(|error| judge(&error))?;
    Ok(refused)
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

/// 5xx is for good, anything else may pass. 53x speaks of credentials and encryption: the operator's to mend, and the
/// mail waits for it.
fn judge(error: &Error) -> SendError {
    let about_access = error
        .status()
        .is_some_and(|code| code.category == Category::Unspecified3);
    if error.is_permanent() && !about_access {
        SendError::Rejected(error.to_string())
    } else {
        SendError::NotNow(error.to_string())
    }
}

/// Says goodbye in the background.
fn leave(mut session: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = timeout(GOODBYE, session.abort()).await;
    });
}
