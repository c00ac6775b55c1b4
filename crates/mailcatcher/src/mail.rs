//! A mail as it was received.

use std::io;
use std::path::Path;
use std::time::Instant;

use tokio::fs;

use crate::mime;

/// A mail: its envelope, and the message without the transport's dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Header and body with CRLF line ends, as sent.
    pub message: Vec<u8>,
    /// When it was there and judged good: 250 is said next.
    pub accepted: Instant,
}

impl Mail {
    /// The message as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }

    /// The first header field of this name, unfolded but otherwise as sent (encoded words stay encoded).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        mime::field(mime::split(&self.text()).0, name)
    }

    /// The subject, decoded.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.header("Subject").map(|subject| mime::decode_words(&subject))
    }

    /// Everything behind the header, still in its transfer encoding.
    #[must_use]
    pub fn body(&self) -> String {
        mime::split(&self.text()).1.to_owned()
    }

    /// The plain text that a mail program would show, decoded; empty when the mail has none.
    #[must_use]
    pub fn plain_text(&self) -> String {
        mime::plain_text(&self.text()).unwrap_or_default()
    }

    /// Writes `000001.eml` and so on. The name appears with the whole content behind it: scripts watch the folder.
    pub(crate) async fn write(&self, dir: &Path, number: usize) -> io::Result<()> {
        let draft = dir.join(format!(".{number:06}.part"));
        fs::write(&draft, &self.message).await?;
        fs::rename(&draft, dir.join(format!("{number:06}.eml"))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_header_field_is_read_as_one_line() {
        let message = b"Subject: onion\r\n is low\r\nTo: a@example.com\r\n\r\nSubject: not this\r\n".to_vec();
        let mail = Mail {
            from: String::new(),
            to: vec![],
            message,
            accepted: Instant::now(),
        };
        assert_eq!(mail.header("subject").as_deref(), Some("onion is low"));
        assert_eq!(mail.header("To").as_deref(), Some("a@example.com"));
        assert_eq!(mail.header("Cc"), None);
        assert_eq!(mail.body(), "Subject: not this\r\n");
    }
}
