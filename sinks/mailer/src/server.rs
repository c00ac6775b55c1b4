//! Which mail server there is and how it is spoken to, from a URL.

use std::{fmt, path::PathBuf, time::Duration};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, TlsParameters},
    extension::ClientId,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// Where mails are handed over.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// `smtp://host` (plain), `smtp://host?tls=required` (STARTTLS) or `smtps://host` (TLS from the start), with
    /// `user:password@` and `:port` where needed.
    pub url: SecretString,
    /// The password, where it is not in the URL.
    pub password: Option<SecretString>,
    /// Certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long handing over one mail may take, from connecting on.
    pub send_timeout: Duration,
}

/// The mail server's address is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SmtpConfigError {
    /// The URL is none, or names no host.
    #[error(
        "SMTP_URL is no address of a mail server: write it as smtp://host, smtp://host?tls=required or smtps://host"
    )]
    Url,
    /// The URL asks for something unknown.
    #[error("SMTP_URL has {0}: smtp, smtps and ?tls=required are what there is")]
    Unknown(String),
    /// A password of nobody.
    #[error("the mail server's password has no user: put the user into SMTP_URL")]
    NoUser,
    /// Text in the URL is not UTF-8.
    #[error("user or password in SMTP_URL is not UTF-8 when decoded")]
    NotText,
    /// The file of certificates cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up")]
    Tls(#[source] Error),
}

#[derive(Clone)]
enum Encryption {
    Plain,
    StartTls(TlsParameters),
    Wrapped(TlsParameters),
}

/// A mail server and how it is spoken to.
#[derive(Clone)]
pub(crate) struct MailServer {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encryption = match self.encryption {
            Encryption::Plain => "none",
            Encryption::StartTls(_) => "STARTTLS",
            Encryption::Wrapped(_) => "TLS",
        };
        write!(f, "{}:{} ({encryption})", self.host, self.port)
    }
}

impl MailServer {
    /// Reads the URL.
    pub(crate) fn new(config: &SmtpConfig) -> Result<Self, SmtpConfigError> {
        // The URL itself is in no error: it may hold a password.
        let url = Url::parse(config.url.expose_secret()).map_err(|_| SmtpConfigError::Url)?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(SmtpConfigError::Url)?;
        // Brackets belong to the URL, not to the address.
        let host = host.trim_matches(['[', ']']).to_owned();
        let options: Vec<_> = url.query_pairs().collect();
        let start_tls = match options.as_slice() {
            [] => false,
            [(key, value)] if key == "tls" && value == "required" => true,
            _ => return Err(SmtpConfigError::Unknown("an option that does not exist".to_owned())),
        };
        let (encryption, port) = match (url.scheme(), start_tls) {
            ("smtp", false) => (Encryption::Plain, 25),
            ("smtp", true) => (Encryption::StartTls(tls(&host, config)?), 587),
            ("smtps", false) => (Encryption::Wrapped(tls(&host, config)?), 465),
            ("smtps", true) => return Err(SmtpConfigError::Unknown("both smtps and ?tls=required".to_owned())),
            (scheme, _) => return Err(SmtpConfigError::Unknown(format!("the scheme {scheme}"))),
        };
        let port = url.port().unwrap_or(port);
        let credentials = credentials(&url, config.password.as_ref())?;
        let is_local = match url::Host::parse(url.host_str().unwrap_or_default()) {
            Ok(Host::Ipv4(address)) => address.is_loopback(),
            Ok(Host::Ipv6(address)) => address.is_loopback(),
            _ => host == "localhost",
        };
        if credentials.is_some() && matches!(encryption, Encryption::Plain) && !is_local {
            tracing::warn!("the mail server's password goes over the network in the clear: use ?tls=required or smtps");
        }
        Ok(Self {
            host,
            port,
            encryption,
            credentials,
        })
    }

    /// Opens a session, up to where a mail may begin.
    pub(crate) async fn connect(&self, within: Duration, hello: &ClientId) -> Result<AsyncSmtpConnection, Error> {
        let wrapped = match &self.encryption {
            Encryption::Wrapped(tls) => Some(tls.clone()),
            Encryption::Plain | Encryption::StartTls(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut session = AsyncSmtpConnection::connect_tokio1(address, Some(within), hello, wrapped, None).await?;
        if let Encryption::StartTls(tls) = &self.encryption {
            session.starttls(tls.clone(), hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            session.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(session)
    }
}

fn tls(host: &str, config: &SmtpConfig) -> Result<TlsParameters, SmtpConfigError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|source| SmtpConfigError::CaFile {
            path: path.clone(),
            source,
        })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(SmtpConfigError::Tls)?);
    }
    builder.build_rustls().map_err(SmtpConfigError::Tls)
}

fn credentials(url: &Url, password: Option<&SecretString>) -> Result<Option<Credentials>, SmtpConfigError> {
    let user = decode(url.username())?;
    let password = match (password, url.password()) {
        (Some(password), _) => Some(password.expose_secret().to_owned()),
        (None, Some(password)) => Some(decode(password)?),
        (None, None) => None,
    };
    match (user.is_empty(), password) {
        (true, None) => Ok(None),
        (true, Some(_)) => Err(SmtpConfigError::NoUser),
        (false, password) => Ok(Some(Credentials::new(user, password.unwrap_or_default()))),
    }
}

/// Undoes the URL's percent-encoding.
fn decode(text: &str) -> Result<String, SmtpConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| SmtpConfigError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, password: Option<&str>) -> Result<MailServer, SmtpConfigError> {
        MailServer::new(&SmtpConfig {
            url: url.into(),
            password: password.map(Into::into),
            ca_file: None,
            send_timeout: Duration::from_secs(30),
        })
    }

    #[test]
    fn the_url_says_how_the_server_is_spoken_to() {
        for (url, shown) in [
            ("smtp://mail.example.org", "mail.example.org:25 (none)"),
            (
                "smtp://mail.example.org?tls=required",
                "mail.example.org:587 (STARTTLS)",
            ),
            ("smtps://u:p@mail.example.org", "mail.example.org:465 (TLS)"),
            ("smtp://127.0.0.1:1025", "127.0.0.1:1025 (none)"),
            ("smtp://[::1]:1025", "::1:1025 (none)"),
        ] {
            assert_eq!(format!("{:?}", server(url, None).unwrap()), shown);
        }
    }

    #[test]
    fn credentials_come_from_the_url_or_beside_it() {
        let expected = Credentials::new("me@example.org".to_owned(), "p:/ä".to_owned());
        let in_url = server("smtps://me%40example.org:p%3A%2F%C3%A4@mail", None).unwrap();
        assert_eq!(in_url.credentials, Some(expected.clone()));
        let beside = server("smtps://me%40example.org@mail", Some("p:/ä")).unwrap();
        assert_eq!(beside.credentials, Some(expected));
        assert!(matches!(
            server("smtps://mail", Some("p")),
            Err(SmtpConfigError::NoUser)
        ));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in [
            "mail.example.org",
            "http://mail",
            "smtp://",
            "smtp://m?tls=maybe",
            "smtps://m?tls=required",
            "smtp://m?x=1",
        ] {
            assert!(server(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn no_error_holds_the_password() {
        let error = server("gopher://u:hunter2@mail", None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
