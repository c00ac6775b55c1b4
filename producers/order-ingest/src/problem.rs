//! Everything that goes wrong, as RFC 9457 has it. The codes are listed in `docs/interfaces/errors.md`.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use service::run::Chain;
use store::StoreError;

use crate::fields::FieldError;

/// Why a request is refused. The word of each is part of the API and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is a word with a title, in the table below")]
pub enum Code {
    MalformedJson,
    InvalidIdempotencyKey,
    MissingApiKey,
    InvalidApiKey,
    NotFound,
    OrderNotFound,
    AdjustmentNotFound,
    IngredientNotFound,
    MethodNotAllowed,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    UnknownProduct,
    ProductInactive,
    UnknownCustomer,
    TotalOutOfRange,
    IdempotencyKeyReused,
    Internal,
    Overloaded,
    NotAccepted,
    NotAcknowledged,
    DatabaseUnavailable,
}

impl Code {
    /// Every code there is.
    pub const ALL: [Self; 23] = [
        Self::MalformedJson,
        Self::InvalidIdempotencyKey,
        Self::MissingApiKey,
        Self::InvalidApiKey,
        Self::NotFound,
        Self::OrderNotFound,
        Self::AdjustmentNotFound,
        Self::IngredientNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::UnknownProduct,
        Self::ProductInactive,
        Self::UnknownCustomer,
        Self::TotalOutOfRange,
        Self::IdempotencyKeyReused,
        Self::Internal,
        Self::Overloaded,
        Self::NotAccepted,
        Self::NotAcknowledged,
        Self::DatabaseUnavailable,
    ];

    /// Its status, its word and its title.
    #[must_use]
    pub const fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed_json", "The body is not JSON"),
            Self::InvalidIdempotencyKey => (
                StatusCode::BAD_REQUEST,
                "invalid_idempotency_key",
                "The Idempotency-Key cannot be used",
            ),
            Self::MissingApiKey => (StatusCode::UNAUTHORIZED, "missing_api_key", "An API key is needed"),
            Self::InvalidApiKey => (StatusCode::UNAUTHORIZED, "invalid_api_key", "The API key is not valid"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::OrderNotFound => (StatusCode::NOT_FOUND, "order_not_found", "There is no such order"),
            Self::AdjustmentNotFound => (
                StatusCode::NOT_FOUND,
                "adjustment_not_found",
                "There is no such adjustment",
            ),
            Self::IngredientNotFound => (
                StatusCode::NOT_FOUND,
                "ingredient_not_found",
                "There is no such ingredient",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The method is not allowed here",
            ),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body took too long"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be application/json",
            ),
            Self::InvalidRequest => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request",
                "Some fields are not valid",
            ),
            Self::UnknownProduct => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_product",
                "There is no such product",
            ),
            Self::ProductInactive => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "product_inactive",
                "The product is not sold",
            ),
            Self::UnknownCustomer => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_customer",
                "There is no such customer",
            ),
            Self::TotalOutOfRange => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "total_out_of_range",
                "The order costs more than can be counted",
            ),
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The Idempotency-Key belongs to another order",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something is wrong here"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much at a time"),
            Self::NotAccepted => (StatusCode::SERVICE_UNAVAILABLE, "not_accepted", "Nothing was accepted"),
            Self::NotAcknowledged => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not_acknowledged",
                "Not known to have been accepted",
            ),
            Self::DatabaseUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database_unavailable",
                "The database does not answer",
            ),
        }
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.describe().1
    }
}

/// All that a client is told of a defect.
pub(crate) const INTERNAL: &str = "the error is in our log: state the request_id when you ask about it";

/// A request that is refused, why, and what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem of the request as a whole.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// A problem of some fields.
    pub(crate) fn fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} fields are not valid: see errors", several.len()),
        };
        Self { code, detail, errors }
    }

    /// Something that must not happen. The log says what, the client only that.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(error), "a request failed");
        Self::new(Code::Internal, INTERNAL)
    }

    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    /// The document, for the request of this id.
    pub(crate) fn render(&self, request_id: &str) -> Body {
        let (status, code, title) = self.code.describe();
        let document = Document {
            r#type: format!("urn:larder:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            request_id,
            errors: &self.errors,
        };
        serde_json::to_vec(&document).expect("text and numbers are JSON").into()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(error = %Chain(error), "postgres does not answer");
            Self::new(Code::DatabaseUnavailable, "try again in a moment")
        } else {
            Self::internal(error)
        }
    }
}

impl IntoResponse for Problem {
    /// Everything but the document, which needs the request's id: [`crate::edge`] writes it.
    fn into_response(self) -> Response {
        let (status, ..) = self.code.describe();
        let further: Option<(HeaderName, &'static str)> = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"larder\"")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            // What the client still sends would be taken for its next request.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => Some((header::CONNECTION, "close")),
            _ => None,
        };
        let mut response = status.into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some((name, value)) = further {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_in_the_documentation_and_is_one_word() {
        let documented = include_str!("../../../docs/interfaces/errors.md");
        let words: BTreeSet<&str> = Code::ALL.into_iter().map(Code::word).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            let (status, word, _) = code.describe();
            let row = format!("| {} | `{word}` |", status.as_u16());
            assert!(
                documented.contains(&row),
                "errors.md lacks a row that starts with {row}"
            );
        }
    }
}
