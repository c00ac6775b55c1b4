//! As much of MIME as it takes to read our own mails: the plain text part and the subject, decoded.

/// A message's header and body.
pub(crate) fn split(message: &str) -> (&str, &str) {
    message.split_once("\r\n\r\n").unwrap_or((message, ""))
}

/// The first header field of this name, unfolded.
pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.split("\r\n").find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// The first `text/plain` part, searched into multiparts; a message without a content type is one.
pub(crate) fn plain_text(message: &str) -> Option<String> {
    let (head, body) = split(message);
    let kind = field(head, "Content-Type").unwrap_or_else(|| "text/plain".into());
    if kind.starts_with("multipart/") {
        let boundary = kind.split_once("boundary=")?.1.split(';').next()?.trim_matches('"');
        let delimiter = format!("--{boundary}");
        return body
            .split(&delimiter)
            .skip(1)
            .find_map(|part| plain_text(part.strip_prefix("\r\n")?));
    }
    if !kind.starts_with("text/plain") {
        return None;
    }
    let encoding = field(head, "Content-Transfer-Encoding")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let bytes = match encoding.as_str() {
        "quoted-printable" => quoted_printable(body.as_bytes()),
        "base64" => base64(body.as_bytes()),
        _ => body.as_bytes().to_vec(),
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// RFC 2047's `=?utf-8?b?…?=` and `=?utf-8?q?…?=`; anything else stays.
pub(crate) fn decode_words(value: &str) -> String {
    let mut decoded = String::new();
    let mut last_was_encoded = false;
    for word in value.split(' ') {
        let word_decoded = encoded_word(word);
        // White space between two encoded words is not part of the text.
        let joined = last_was_encoded && word_decoded.is_some();
        if !joined && !decoded.is_empty() {
            decoded.push(' ');
        }
        last_was_encoded = word_decoded.is_some();
        decoded.push_str(word_decoded.as_deref().unwrap_or(word));
    }
    decoded
}

fn encoded_word(word: &str) -> Option<String> {
    let mut fields = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (charset, encoding, text) = (fields.next()?, fields.next()?, fields.next()?);
    let bytes = match (charset.to_ascii_lowercase().as_str(), encoding) {
        ("utf-8", "b" | "B") => base64(text.as_bytes()),
        ("utf-8", "q" | "Q") => quoted_printable(text.replace('_', " ").as_bytes()),
        _ => return None,
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'=', [b'\r', b'\n', after @ ..]) => after,
            (b'=', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push((hex(*high) << 4) | hex(*low));
                after
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    bytes
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn base64(text: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for value in text
        .iter()
        .filter_map(|byte| ALPHABET.iter().position(|letter| letter == byte))
    {
        bits = (bits << 6) | u32::try_from(value).unwrap_or_default();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).unwrap_or_default());
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_part_of_an_alternative_is_found_and_decoded() {
        let message = "Content-Type: multipart/alternative;\r\n boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
                       <p>x</p>\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: \
                       quoted-printable\r\n\r\nbelow 50=C2=A0% =\r\nnow\r\n--b--\r\n";
        assert_eq!(plain_text(message).as_deref(), Some("below 50\u{a0}% now\r\n"));
    }

    #[test]
    fn base64_is_decoded_whatever_its_padding() {
        for (encoded, decoded) in [("b25pb24=", "onion"), ("YmVlZg==", "beef"), ("Y2hl\r\nZXNl", "cheese")] {
            assert_eq!(base64(encoded.as_bytes()), decoded.as_bytes());
        }
    }

    #[test]
    fn encoded_words_of_a_subject_are_joined() {
        assert_eq!(
            decode_words("=?utf-8?b?w6k=?= =?utf-8?q?=C3=A8_x?= plain"),
            "\u{e9}\u{e8} x plain"
        );
        assert_eq!(decode_words("Onion is low"), "Onion is low");
    }
}
