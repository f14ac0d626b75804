//! Reading JSON of devices: lenient, without panics.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::transport::http::excerpt;

/// A reply as JSON.
///
/// # Errors
/// [`Error::Protocol`] that shows how it begins.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    // Some firmware pads its replies with NUL.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let text = bytes.get(..end).unwrap_or_default();
    serde_json::from_slice(text).map_err(|cause| {
        let shown = excerpt(&String::from_utf8_lossy(text));
        Error::protocol(format!("{shown} is no JSON; is this a Kasa or Tapo plug?")).caused_by(cause)
    })
}

/// A text that says something; `None` for everything else.
pub(super) fn text(object: &Value, key: &str) -> Option<String> {
    let text = object.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first of `keys` that holds a text.
pub(super) fn first_text(object: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| text(object, key))
}

/// A finite number.
pub(super) fn number(object: &Value, key: &str) -> Option<f64> {
    object.get(key)?.as_f64().filter(|number| number.is_finite())
}

/// What there is in place of something, for an error message.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| excerpt(&value.to_string()))
}

/// The number in a refusal, for who must tell them apart.
#[derive(Debug, thiserror::Error)]
#[error("error code {0}")]
pub(super) struct Code(pub(super) i64);

/// The device's error code, where the error is one.
pub(super) fn code_of(error: &Error) -> Option<i64> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<Code>().map(|code| code.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_no_part_of_a_reply() {
        assert_eq!(parse(b"{}\0\0").unwrap(), serde_json::json!({}));
        for bad in [&b"\0"[..], b"", b"{", b"{}{}", b"<html>", b"{\"a\":1e999}"] {
            assert!(matches!(parse(bad), Err(Error::Protocol { .. })), "{bad:?}");
        }
    }
}
