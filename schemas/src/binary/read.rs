//! From bytes to a type.

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, EnumAccess, IntoDeserializer as _, SeqAccess, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

use super::Error;

pub(super) struct Reader<'a, 'de> {
    pub(super) from: &'a mut &'de [u8],
}

fn unsupported<T>() -> Result<T, Error> {
    Err(Error(
        "no event holds this: teach schemas::binary to read it".to_owned(),
    ))
}

fn short() -> Error {
    Error("the bytes end within the value".to_owned())
}

impl<'de> Reader<'_, 'de> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.from.split_first().ok_or_else(short)?;
        *self.from = rest;
        Ok(*byte)
    }

    fn long(&mut self) -> Result<i64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Error("a number has more than 64 bits".to_owned()))
    }

    fn slice(&mut self) -> Result<&'de [u8], Error> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Error(format!("a length of {length} bytes")))?;
        let (slice, rest) = self.from.split_at_checked(length).ok_or_else(short)?;
        *self.from = rest;
        Ok(slice)
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        std::str::from_utf8(self.slice()?).map_err(|_| Error("a text is not UTF-8".to_owned()))
    }

    /// How many items the next block of an array holds; none where the array ends.
    fn block(&mut self) -> Result<u64, Error> {
        let count = self.long()?;
        if count < 0 {
            // Then the block's size in bytes follows, for those who skip it.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        unsupported()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            other => Err(Error(format!("{other} is neither true nor false"))),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.long()?;
        visitor.visit_i32(i32::try_from(value).map_err(|_| Error(format!("{value} is no 32-bit number")))?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.long()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            other => Err(Error(format!("a union of two has no branch {other}"))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.block()?;
        visitor.visit_seq(Items { reader: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Fields {
            reader: self,
            left: fields.len(),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        i8 i16 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The fields of a record: as many as the type has.
struct Fields<'r, 'a, 'de> {
    reader: &'r mut Reader<'a, 'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The items of an array, block after block.
struct Items<'r, 'a, 'de> {
    reader: &'r mut Reader<'a, 'de>,
    left: u64,
}

impl<'de> SeqAccess<'de> for Items<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let item = seed.deserialize(&mut *self.reader)?;
        self.left -= 1;
        if self.left == 0 {
            self.left = self.reader.block()?;
        }
        Ok(Some(item))
    }

    /// An item takes a byte at least: bytes that promise more than they hold are given no memory for it.
    fn size_hint(&self) -> Option<usize> {
        Some(
            usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(self.reader.from.len()),
        )
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index = self.long()?;
        let index = u32::try_from(index).map_err(|_| Error(format!("an enum has no symbol {index}")))?;
        let value: de::value::U32Deserializer<Error> = index.into_deserializer();
        Ok((seed.deserialize(value)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        unsupported()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        unsupported()
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        unsupported()
    }
}
