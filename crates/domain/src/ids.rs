//! Identifiers. Numeric ids are ours; a merchant's own text for the same thing is a [`Reference`].

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! numeric_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Wraps a number that was issued by us.
            #[must_use]
            pub const fn new(id: i64) -> Self {
                Self(id)
            }

            /// The number, as it stands in the database and on the wire.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

numeric_id! {
    /// A restaurant or shop; the key of every event.
    MerchantId,
    /// Somebody who orders from a merchant.
    CustomerId,
    /// Something a merchant sells.
    ProductId,
    /// Something a product is made of.
    IngredientId,
}

macro_rules! uuid_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that was made for this purpose.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID, as it stands in the database.
            #[must_use]
            pub const fn get(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        // On every wire an id is text, whatever the format says of itself: Avro's `uuid` is a string.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(UuidText).map(Self)
            }
        }
    )+};
}

uuid_id! {
    /// One order. Version 7, or version 5 where the client named it by an idempotency key.
    OrderId,
    /// One change of stock that is not an order.
    AdjustmentId,
    /// One fall below a threshold.
    AlertId,
}

impl OrderId {
    /// The order a client named by an `Idempotency-Key`: the same key of the same merchant is the same order.
    #[must_use]
    pub fn from_key(merchant: MerchantId, key: &str) -> Self {
        Self(Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            format!("larder/order/{merchant}/{key}").as_bytes(),
        ))
    }

    /// Whether a client named it, so that it may arrive again long after the first time.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        self.0.get_version_num() == 5
    }
}

struct UuidText;

impl serde::de::Visitor<'_> for UuidText {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID as text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uuid, E> {
        Uuid::try_parse(text).map_err(E::custom)
    }
}

/// What the API takes where a thing is named: a number is our id, a text is the merchant's own reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// Our id.
    Id(i64),
    /// The merchant's own.
    Own(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Own(text) => write!(f, "\"{text}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_of_the_same_merchant_is_the_same_order() {
        let first = OrderId::from_key(MerchantId::new(1), "k");
        assert_eq!(first, OrderId::from_key(MerchantId::new(1), "k"));
        assert_ne!(first, OrderId::from_key(MerchantId::new(2), "k"));
        assert_ne!(first, OrderId::from_key(MerchantId::new(1), "l"));
        assert!(first.is_keyed());
    }

    #[test]
    fn a_fresh_id_is_not_keyed() {
        assert!(!OrderId::new(Uuid::now_v7()).is_keyed());
    }
}
