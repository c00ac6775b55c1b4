//! Looking at the fields of a body one by one, so that everything that is wrong is told at once.

use std::ops::RangeInclusive;

use domain::ids::Reference;
use serde::Serialize;
use serde_json::{Map, Value};

/// The most errors that one answer lists.
const MAX_ERRORS: usize = 50;
/// The longest reference a merchant may use, in characters.
const MAX_REFERENCE: usize = 255;

/// One field that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// Where it is, as RFC 6901 has it.
    pub pointer: String,
    /// Why, for programs.
    pub code: &'static str,
    /// Why, for people.
    pub detail: String,
}

impl FieldError {
    pub(crate) fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<FieldError>);

impl Errors {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(FieldError::new(pointer, code, detail));
        }
    }

    pub(crate) fn into_inner(self) -> Vec<FieldError> {
        self.0
    }

    /// An object that has no other fields than these.
    pub(crate) fn object<'a>(
        &mut self,
        value: &'a Value,
        pointer: &str,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Value::Object(fields) = value else {
            self.add(pointer, "wrong_type", "must be an object");
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            self.add(
                format!("{pointer}/{escaped}"),
                "unknown_field",
                format!("not known here: use {}", known.join(", ")),
            );
        }
        Some(fields)
    }

    /// A field that must be there.
    pub(crate) fn required<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        pointer: &str,
        name: &str,
    ) -> Option<&'a Value> {
        let value = fields.get(name);
        if value.is_none() {
            self.add(format!("{pointer}/{name}"), "required", "must be given");
        }
        value
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&mut self, value: &Value, pointer: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let bounds = || format!("must be a whole number between {} and {}", range.start(), range.end());
        match (value, value.as_i64()) {
            (_, Some(number)) if range.contains(&number) => return Some(number),
            (Value::Number(number), _) if number.as_f64().is_none_or(|number| number.fract() == 0.0) => {
                self.add(pointer, "out_of_range", bounds());
            }
            _ => self.add(pointer, "wrong_type", bounds()),
        }
        None
    }

    /// A text of 1 to `most` characters that people can read.
    pub(crate) fn text<'a>(&mut self, value: &'a Value, pointer: &str, most: usize) -> Option<&'a str> {
        let Value::String(text) = value else {
            self.add(pointer, "wrong_type", "must be a text");
            return None;
        };
        if !(1..=most).contains(&text.chars().count()) {
            self.add(
                pointer,
                "out_of_range",
                format!("must have between 1 and {most} characters"),
            );
            return None;
        }
        if text
            .chars()
            .any(|character| character.is_control() && !matches!(character, '\n' | '\t'))
        {
            self.add(pointer, "not_allowed", "must not have control characters");
            return None;
        }
        Some(text)
    }

    /// Our id or the merchant's own.
    pub(crate) fn reference(&mut self, value: &Value, pointer: &str) -> Option<Reference> {
        match value {
            Value::String(text) if is_reference(text) => return Some(Reference::Own(text.clone())),
            Value::Number(number) if number.is_i64() => return number.as_i64().map(Reference::Id),
            Value::String(_) => self.add(
                pointer,
                "out_of_range",
                format!("must have between 1 and {MAX_REFERENCE} characters and none that controls"),
            ),
            _ => self.add(
                pointer,
                "wrong_type",
                "must be our id as a whole number or your reference as a text",
            ),
        }
        None
    }
}

/// Whether a text may be a merchant's own name for a thing.
pub(crate) fn is_reference(text: &str) -> bool {
    // Bytes first: they are at least as many as characters, and nearly always few.
    !text.is_empty()
        && (text.len() <= MAX_REFERENCE || text.chars().count() <= MAX_REFERENCE)
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_escaped() {
        let mut errors = Errors::default();
        errors.object(&json!({"a/b~c": 1}), "/items/0", &["d"]);
        assert_eq!(errors.into_inner()[0].pointer, "/items/0/a~1b~0c");
    }

    #[test]
    fn a_number_is_whole_and_within_bounds() {
        for (value, code) in [
            (json!(0), "out_of_range"),
            (json!(11), "out_of_range"),
            (json!(1e30), "out_of_range"),
            (json!(u64::MAX), "out_of_range"),
            (json!(1.5), "wrong_type"),
            (json!("1"), "wrong_type"),
            (json!(null), "wrong_type"),
        ] {
            let mut errors = Errors::default();
            assert_eq!(errors.integer(&value, "/q", 1..=10), None);
            assert_eq!(errors.into_inner()[0].code, code, "{value}");
        }
        assert_eq!(Errors::default().integer(&json!(10), "/q", 1..=10), Some(10));
    }

    #[test]
    fn a_reference_is_neither_empty_nor_endless() {
        assert!(is_reference("burger"));
        assert!(is_reference(&"ä".repeat(255)));
        for text in ["", "a\0b", "a\nb", &"a".repeat(256)] {
            assert!(!is_reference(text), "{text:?}");
        }
    }

    #[test]
    fn the_list_of_errors_is_bounded() {
        let mut errors = Errors::default();
        for _ in 0..1000 {
            errors.add("/x", "required", "must be given");
        }
        assert_eq!(errors.into_inner().len(), MAX_ERRORS);
    }
}
