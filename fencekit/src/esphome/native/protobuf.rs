//! The part of Protocol Buffers that the native API needs: varints, fixed32 and length-delimited fields.

/// A message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a protobuf field is cut or malformed")]
pub(super) struct Malformed;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// `fixed32` and `float`.
    Fixed32(u32),
    /// `fixed64` and `double`.
    Fixed64(u64),
    /// Strings, bytes and messages.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// A boolean, whose wire form is a varint; anything else is malformed.
    pub(super) fn boolean(self) -> Result<bool, Malformed> {
        match self {
            Self::Varint(0) => Ok(false),
            Self::Varint(1) => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// An unsigned integer of 32 bits.
    pub(super) fn unsigned(self) -> Result<u32, Malformed> {
        match self {
            Self::Varint(number) => u32::try_from(number).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    /// A `fixed32`.
    pub(super) fn fixed32(self) -> Result<u32, Malformed> {
        match self {
            Self::Fixed32(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    /// A `float`.
    pub(super) fn float(self) -> Result<f32, Malformed> {
        self.fixed32().map(f32::from_bits)
    }

    /// Text; what is not UTF-8 is replaced.
    pub(super) fn text(self) -> Result<String, Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            _ => Err(Malformed),
        }
    }

    /// The bytes of a message.
    pub(super) fn message(&self) -> Result<&[u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }
}

/// The fields of a message in their order; the iterator ends after the first malformed one.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed),
        };
        if number == 0 {
            Err(Malformed)
        } else {
            Ok((number, value))
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (number, length) = read_varint(self.rest).ok_or(Malformed)?;
        self.take(length)?;
        Ok(number)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The varint at the start of `bytes` and its length; `None` when it is cut or longer than 64 bits.
pub(super) fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * u32::try_from(at).ok()?;
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

/// Writes a message field by field. What equals its default is left out, as proto3 does.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn text(mut self, number: u8, text: &str) -> Self {
        if !text.is_empty() {
            self.tag(number, 2);
            write_varint(&mut self.bytes, text.len() as u64);
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self
    }

    pub(super) fn varint(mut self, number: u8, value: u64) -> Self {
        if value != 0 {
            self.tag(number, 0);
            write_varint(&mut self.bytes, value);
        }
        self
    }

    /// Written even when zero: keys of entities are.
    pub(super) fn fixed32(mut self, number: u8, value: u32) -> Self {
        self.tag(number, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn tag(&mut self, number: u8, wire_type: u8) {
        write_varint(&mut self.bytes, u64::from(number) << 3 | u64::from(wire_type));
    }
}

/// Appends a varint.
pub(super) fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = number.to_le_bytes().first().copied().unwrap_or_default() & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_encoding_guide() {
        // Field 1 as the varint 150; field 2 as the string "testing".
        let message = [
            0x08, 0x96, 0x01, 0x12, 0x07, b't', b'e', b's', b't', b'i', b'n', b'g',
        ];
        let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields, [(1, Value::Varint(150)), (2, Value::Bytes(b"testing"))]);
        let written = Writer::default().varint(1, 150).text(2, "testing").finish();
        assert_eq!(written, message);
    }

    #[test]
    fn defaults_are_left_out_but_a_key_never_is() {
        assert!(Writer::default().varint(2, 0).text(1, "").finish().is_empty());
        assert_eq!(Writer::default().fixed32(1, 0).finish(), [0x0d, 0, 0, 0, 0]);
    }

    #[test]
    fn cut_and_impossible_fields_are_malformed() {
        for message in [
            &[0x08][..],                           // a tag without value
            &[0x0d, 1, 2, 3],                      // a cut fixed32
            &[0x12, 5, b'a'],                      // a cut string
            &[0x0b],                               // groups are long gone
            &[0x00, 0x00],                         // field number 0
            &[0xff; 12],                           // an endless varint
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], // 4 GiB announced
        ] {
            let mut fields = Fields::of(message);
            assert_eq!(fields.next(), Some(Err(Malformed)), "{message:02x?}");
            assert_eq!(fields.next(), None);
        }
    }

    #[test]
    fn a_boolean_is_zero_or_one() {
        assert_eq!(Value::Varint(1).boolean(), Ok(true));
        assert_eq!(Value::Varint(0).boolean(), Ok(false));
        assert!(Value::Varint(2).boolean().is_err() && Value::Fixed32(0).boolean().is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_neither_panic_nor_hang(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }

        #[test]
        fn a_varint_is_read_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, number);
            prop_assert_eq!(read_varint(&bytes), Some((number, bytes.len())));
            for end in 0..bytes.len() {
                prop_assert_eq!(read_varint(&bytes[..end]), None);
            }
        }
    }
}
