//! JSON as Tasmota's web server assembles it: scraped from the log, so that a key may come twice.
//!
//! An ordinary map keeps the last of two values and hides that they disagree. This one keeps all of them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

impl Json {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Json]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// An object with every pair that came, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object(Vec<(String, Json)>);

impl Object {
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Every value of a key.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Json> {
        self.pairs()
            .filter(move |(k, _)| *k == key)
            .map(|(_, value)| value)
    }

    /// The value of a key; `None` when it is missing, or came twice with different values.
    pub(super) fn one<'a>(&'a self, key: &'a str) -> Option<&'a Json> {
        let mut all = self.all(key);
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    /// A text that is neither empty nor contradicted.
    pub(super) fn text<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.one(key)?.text().filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.one(key)?.number()
    }

    /// The pairs of every object under `key` together.
    pub(super) fn section(&self, key: &str) -> Object {
        let pairs = self
            .all(key)
            .filter_map(Json::object)
            .flat_map(|o| o.0.iter().cloned());
        Self(pairs.collect())
    }

    /// These pairs, then those of `other`.
    #[must_use]
    pub(super) fn joined(mut self, other: Object) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    // A number above 2^53 loses digits. Nothing that Tasmota sends and we read is so large.
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = sequence.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Json::Object(Object(pairs)))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        serde_json::from_str::<Json>(text)
            .unwrap()
            .object()
            .unwrap()
            .clone()
    }

    #[test]
    fn doubled_keys_are_kept_and_must_agree() {
        let body = object(r#"{"POWER":"ON","POWER":"OFF","A":1,"A":1}"#);
        assert_eq!(body.all("POWER").count(), 2);
        assert_eq!(body.text("POWER"), None);
        assert_eq!(body.number("A"), Some(1.0));
    }

    #[test]
    fn sections_are_joined() {
        let body = object(r#"{"S":{"A":"1"},"S":{"B":"2"},"S":3}"#);
        let section = body.section("S");
        assert_eq!((section.text("A"), section.text("B")), (Some("1"), Some("2")));
        assert!(body.section("T").is_empty());
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        assert!(serde_json::from_str::<Json>(&"[".repeat(100_000)).is_err());
    }
}
