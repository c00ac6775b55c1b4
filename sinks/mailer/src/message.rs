//! The message that goes over the wire: a letter with its headers, and who gets it.

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use crate::letter::Letter;

/// A message, ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Who sends it, for the envelope.
    pub from: Address,
    /// Who gets it, for the envelope; never empty.
    pub to: Vec<Address>,
    /// Headers and body in ASCII, lines ended by CR LF.
    pub bytes: Vec<u8>,
}

/// A message cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// None of the recipients is an address.
    #[error("no recipient has a valid address: {skipped}")]
    NoRecipient {
        /// What was given.
        skipped: String,
    },
    /// A header does not hold together.
    #[error("the message cannot be built")]
    Build(#[from] lettre::error::Error),
    /// The message has a line end that mail servers read differently.
    #[error("the message has a bare CR or LF, or a byte that is not ASCII")]
    Unsafe,
}

impl Outgoing {
    /// Builds the message and names the recipients that are no addresses and so are passed over.
    pub fn build(
        from: &Mailbox,
        recipients: &[String],
        message_id: &str,
        letter: &Letter,
    ) -> Result<(Self, Vec<String>), MessageError> {
        let (mut to, mut skipped) = (Vec::new(), Vec::new());
        for recipient in recipients {
            match recipient.trim().parse::<Address>() {
                // lettre quotes what has to be, but a control character has no business in an address.
                Ok(address) if !recipient.trim().chars().any(char::is_control) => {
                    if !to.contains(&address) {
                        to.push(address);
                    }
                }
                _ => skipped.push(format!("{recipient:?} is no address")),
            }
        }
        if to.is_empty() {
            return Err(MessageError::NoRecipient {
                skipped: skipped.join("; "),
            });
        }
        let mut builder = Message::builder()
            .message_id(Some(message_id.to_owned()))
            .from(from.clone())
            .subject(letter.subject.clone())
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for address in &to {
            builder = builder.to(Mailbox::new(None, address.clone()));
        }
        let body = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
            .singlepart(part(ContentType::TEXT_HTML, &letter.html));
        let bytes = builder.multipart(body)?.formatted();
        if !is_safe(&bytes) {
            return Err(MessageError::Unsafe);
        }
        Ok((
            Self {
                from: from.email.clone(),
                to,
                bytes,
            },
            skipped,
        ))
    }
}

/// Quoted-printable always: then no line of a body is longer than the limit, and none ends but by CR LF.
fn part(kind: ContentType, body: &str) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(body.to_owned())
}

/// Whether every mail server reads the same lines: RUSTSEC-2026-0561 is about bytes that are not so.
fn is_safe(bytes: &[u8]) -> bool {
    let mut before = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let bare_lf = byte == b'\n' && before != b'\r';
        let bare_cr = byte == b'\r' && bytes.get(index + 1) != Some(&b'\n');
        if bare_lf || bare_cr || byte == 0 || !byte.is_ascii() {
            return false;
        }
        before = byte;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(recipients: &[&str], letter: &Letter) -> Result<(Outgoing, Vec<String>), MessageError> {
        let from = "Larder <larder@example.org>".parse().unwrap();
        let recipients: Vec<_> = recipients.iter().map(|&recipient| recipient.to_owned()).collect();
        Outgoing::build(&from, &recipients, "<1@larder>", letter)
    }

    fn letter(subject: &str, body: &str) -> Letter {
        Letter {
            subject: subject.to_owned(),
            text: body.to_owned(),
            html: body.to_owned(),
        }
    }

    fn header_lines(message: &Outgoing) -> Vec<String> {
        let text = String::from_utf8(message.bytes.clone()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_message_is_ascii_with_the_id_it_was_given() {
        let (message, skipped) = build(&["a@example.org", "b@example.org"], &letter("crème", "ünïcode\n.\n.")).unwrap();
        let head = header_lines(&message);
        assert!(head.contains(&"Message-ID: <1@larder>".to_owned()), "{head:?}");
        assert!(
            head.contains(&"To: a@example.org, b@example.org".to_owned()),
            "{head:?}"
        );
        assert!(head.contains(&"Auto-Submitted: auto-generated".to_owned()), "{head:?}");
        assert!(skipped.is_empty());
        let body = String::from_utf8(message.bytes).unwrap();
        assert_eq!(body.matches("Content-Transfer-Encoding: quoted-printable").count(), 2);
    }

    #[test]
    fn a_subject_cannot_become_a_header() {
        // Names are cleaned before they come here; this is what happens if one day they are not.
        for subject in [
            "x\r\nBcc: evil@example.org",
            "x\nBcc: evil@example.org",
            "x\rBcc: evil@example.org",
            "\0",
        ] {
            if let Ok((message, _)) = build(&["a@example.org"], &letter(subject, "body")) {
                assert!(
                    !header_lines(&message).iter().any(|line| line.starts_with("Bcc")),
                    "{subject:?}"
                );
            }
        }
    }

    #[test]
    fn a_body_cannot_end_the_message() {
        for body in [
            "a\n.\nMAIL FROM:<x@y>",
            "a\r.\rb",
            "a\n.\rb",
            "\0",
            "a\r\n.\r\nQUIT\r\n",
        ] {
            let (message, _) = build(&["a@example.org"], &letter("s", body)).unwrap();
            assert!(is_safe(&message.bytes), "{body:?}");
        }
    }

    #[test]
    fn a_recipient_that_is_no_address_is_passed_over() {
        let nasty = [
            "nobody",
            "a@b\r\nRCPT TO:<x@y>",
            "ok@example.org",
            "OK <ok@example.org>",
            " ok@example.org ",
        ];
        let (message, skipped) = build(&nasty, &letter("s", "b")).unwrap();
        assert_eq!(message.to, ["ok@example.org".parse().unwrap()]);
        assert_eq!(skipped.len(), 3, "{skipped:?}");
        assert!(matches!(
            build(&["nobody"], &letter("s", "b")),
            Err(MessageError::NoRecipient { .. })
        ));
        assert!(matches!(
            build(&[], &letter("s", "b")),
            Err(MessageError::NoRecipient { .. })
        ));
    }
}
