//! A mail as it was received.

use std::io;
use std::path::Path;

use tokio::fs;

/// A mail: its envelope, and the message without the transport's dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Header and body with CRLF line ends, as sent.
    pub message: Vec<u8>,
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
        let text = self.text();
        let head = text.split("\r\n\r\n").next()?;
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.split("\r\n").find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// Everything behind the header, still in its transfer encoding.
    #[must_use]
    pub fn body(&self) -> String {
        self.text()
            .split_once("\r\n\r\n")
            .map_or_else(String::new, |(_, body)| body.to_owned())
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
        };
        assert_eq!(mail.header("subject").as_deref(), Some("onion is low"));
        assert_eq!(mail.header("To").as_deref(), Some("a@example.com"));
        assert_eq!(mail.header("Cc"), None);
        assert_eq!(mail.body(), "Subject: not this\r\n");
    }
}
