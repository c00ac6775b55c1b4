//! Who asks: the merchant whose API key the request carries.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use crate::{
    catalogue::{Catalogue, Merchant},
    problem::{Code, Problem},
};

/// The merchant of `Authorization: Bearer <key>`.
///
/// What is looked up and compared is the key's hash, so how long that takes says nothing about the key.
pub(crate) async fn merchant(catalogue: &Arc<Catalogue>, headers: &HeaderMap) -> Result<Arc<Merchant>, Problem> {
    let Some(key) = bearer(headers) else {
        return Err(Problem::new(
            Code::MissingApiKey,
            "send Authorization: Bearer <API key>",
        ));
    };
    let hash: [u8; 32] = Sha256::digest(key).into();
    catalogue
        .merchant_of_key(&hash)
        .await?
        .ok_or_else(|| Problem::new(Code::InvalidApiKey, "nobody has this key, or it was revoked"))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_bearer_has_a_key() {
        for (value, key) in [
            ("Bearer k", Some(b"k".as_slice())),
            ("bearer k", Some(b"k".as_slice())),
            ("Bearer ", None),
            ("Basic dTpw", None),
            ("k", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), key, "{value}");
        }
    }
}
