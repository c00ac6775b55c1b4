//! From a type to bytes.

use serde::{
    Serialize,
    ser::{self, Impossible, SerializeSeq, SerializeStruct},
};

use super::Error;

pub(super) struct Writer<'a> {
    pub(super) to: &'a mut Vec<u8>,
}

/// Zig-zag, then seven bits a byte, the lowest first.
fn long(value: i64, to: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    to.push(rest.to_le_bytes()[0]);
}

fn count(value: usize, to: &mut Vec<u8>) {
    // Nothing in memory has more parts than this.
    long(i64::try_from(value).unwrap_or(i64::MAX), to);
}

fn unsupported<T>(what: &str) -> Result<T, Error> {
    Err(Error(format!(
        "no event holds {what}: teach schemas::binary to write it"
    )))
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.to.push(u8::from(value));
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        long(value, self.to);
        Ok(())
    }

    fn serialize_u8(self, _: u8) -> Result<(), Error> {
        unsupported("an unsigned number")
    }

    fn serialize_u16(self, _: u16) -> Result<(), Error> {
        unsupported("an unsigned number")
    }

    fn serialize_u32(self, _: u32) -> Result<(), Error> {
        unsupported("an unsigned number")
    }

    fn serialize_u64(self, _: u64) -> Result<(), Error> {
        unsupported("an unsigned number")
    }

    fn serialize_f32(self, _: f32) -> Result<(), Error> {
        unsupported("a float")
    }

    fn serialize_f64(self, _: f64) -> Result<(), Error> {
        unsupported("a float")
    }

    fn serialize_char(self, _: char) -> Result<(), Error> {
        unsupported("a char")
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        count(value.len(), self.to);
        self.to.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        long(0, self.to);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        long(1, self.to);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        unsupported("a unit")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        unsupported(name)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Error> {
        long(index.into(), self.to);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        unsupported(name)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'a>, Error> {
        let Some(length) = length else {
            return unsupported("a sequence of unknown length");
        };
        if length > 0 {
            count(length, self.to);
        }
        Ok(Items { to: self.to })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        unsupported("a tuple")
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        unsupported(name)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        unsupported(name)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        unsupported("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        unsupported(name)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// An array: one block, then the empty one that ends it.
pub(super) struct Items<'a> {
    to: &'a mut Vec<u8>,
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Writer { to: self.to })
    }

    fn end(self) -> Result<(), Error> {
        long(0, self.to);
        Ok(())
    }
}

impl SerializeStruct for Writer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(Writer { to: self.to })
    }

    fn skip_field(&mut self, name: &'static str) -> Result<(), Error> {
        unsupported(name)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}
