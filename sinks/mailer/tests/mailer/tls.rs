//! Encryption: asked for by the URL, and never silently done without.

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use mailer::Config;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::kitchen::{Kitchen, PATIENCE, alert};

/// Where encryption begins.
#[derive(Clone, Copy, PartialEq)]
enum Begins {
    AtOnce,
    AfterStartTls,
}

/// A mail server for `localhost` that speaks TLS, in front of one that does not.
struct Guard {
    port: u16,
    certificate: NamedTempFile,
}

impl Guard {
    async fn start(begins: Begins, behind: SocketAddr) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut certificate = NamedTempFile::new().unwrap();
        certificate.write_all(own.cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that does not trust the certificate hangs up; that is what some tests want.
                tokio::spawn(serve(client, begins, acceptor.clone(), behind));
            }
        });
        Self { port, certificate }
    }

    fn trusted(&self, url: &str, mut config: Config) -> Config {
        config.smtp.url = url.replace("PORT", &self.port.to_string()).into();
        config.smtp.ca_file = Some(self.certificate.path().to_owned());
        config
    }
}

async fn serve(
    mut client: TcpStream,
    begins: Begins,
    acceptor: TlsAcceptor,
    behind: SocketAddr,
) -> Result<(), std::io::Error> {
    if begins == Begins::AfterStartTls {
        let mut plain = BufStream::new(&mut client);
        let (mut hello, mut start) = (String::new(), String::new());
        plain.write_all(b"220 guard\r\n").await?;
        plain.flush().await?;
        plain.read_line(&mut hello).await?;
        plain.write_all(b"250-guard\r\n250 STARTTLS\r\n").await?;
        plain.flush().await?;
        plain.read_line(&mut start).await?;
        assert_eq!(start, "STARTTLS\r\n", "nothing else is said in the clear");
        plain.write_all(b"220 2.0.0 go ahead\r\n").await?;
        plain.flush().await?;
    }
    let mut encrypted = acceptor.accept(client).await?;
    let mut server = BufStream::new(TcpStream::connect(behind).await?);
    if begins == Begins::AfterStartTls {
        // The greeting was said before encryption.
        server.read_line(&mut String::new()).await?;
    }
    tokio::io::copy_bidirectional(&mut encrypted, &mut server)
        .await
        .map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_out_encrypted_from_the_start_or_by_starttls() {
    for (begins, url) in [
        (Begins::AtOnce, "smtps://localhost:PORT"),
        (Begins::AfterStartTls, "smtp://localhost:PORT?tls=required"),
    ] {
        let kitchen = Kitchen::open().await;
        let guard = Guard::start(begins, kitchen.post.addr()).await;
        let mailer = kitchen.start(guard.trusted(url, kitchen.config())).await;
        let onion = alert(1, "onion");
        kitchen.publish(&onion).await;
        assert_eq!(kitchen.wait_for_state(&onion, "sent").await.attempts, 1, "{url}");
        assert_eq!(kitchen.post.mails().len(), 1);
        mailer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_goes_to_a_server_that_is_not_trusted_or_does_not_encrypt() {
    let kitchen = Kitchen::open().await;
    let guard = Guard::start(Begins::AtOnce, kitchen.post.addr()).await;
    let mut untrusted = guard.trusted("smtps://localhost:PORT", kitchen.config());
    untrusted.smtp.ca_file = None;
    let mut unencrypted = kitchen.config();
    unencrypted.smtp.url = format!("{}?tls=required", kitchen.post.url()).into();
    for (number, config) in (1..).zip([untrusted, unencrypted]) {
        let mailer = kitchen.start(config).await;
        let onion = alert(number, "onion");
        kitchen.publish(&onion).await;
        testkit::wait_until("a second attempt", PATIENCE, async || {
            kitchen
                .delivery(&onion)
                .await
                .is_some_and(|delivery| delivery.attempts > 1)
        })
        .await;
        assert_ne!(kitchen.delivery(&onion).await.unwrap().state, "failed");
        mailer.stop().await;
    }
    assert_eq!(kitchen.post.mails().len(), 0);
}
