//! What a status page says, by the user's regular expressions.

use regex_lite::{Regex, RegexBuilder};

use crate::error::{Error, Result};
use crate::options::Settings;
use crate::power::Observation;

/// Longest expression, in bytes.
const LONGEST: usize = 1024;
/// Largest compiled expression, in bytes. It bounds the time that a hostile page can cost.
const SIZE_LIMIT: usize = 16 * 1024;

/// How on and off are told. A state without an expression of its own is never seen: that the other one does not
/// match says nothing.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    on: Option<Regex>,
    off: Option<Regex>,
}

impl Patterns {
    /// From `status_on_regex` and `status_off_regex`.
    ///
    /// # Errors
    /// [`Error::Config`] when both are missing, are the same, or one does not compile or matches everything.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self> {
        let patterns = Self {
            on: compiled(settings, "status_on_regex")?,
            off: compiled(settings, "status_off_regex")?,
        };
        match (&patterns.on, &patterns.off) {
            (None, None) => Err(Error::config(
                "status_off_regex",
                "is missing, and status_on_regex too",
                "give the regular expressions that the reply to status_url matches while the outlet is off, and while \
                 it is on, as \"state\": *\"off\"",
            )),
            (Some(on), Some(off)) if on.as_str() == off.as_str() => Err(Error::config(
                "status_off_regex",
                "is the same as status_on_regex",
                "give one that matches only while the outlet is off",
            )),
            _ => Ok(patterns),
        }
    }

    pub(super) fn can_see_off(&self) -> bool {
        self.off.is_some()
    }

    /// What a page says: a state when its expression matches and the other one does not.
    pub(super) fn observe(&self, page: &str) -> Observation {
        let matches = |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|regex| regex.is_match(page));
        match (matches(&self.on), matches(&self.off)) {
            (true, false) => Observation::On,
            (false, true) => Observation::Off,
            (true, true) => Observation::unknown("status_on_regex and status_off_regex both match the reply"),
            (false, false) => Observation::unknown(self.no_match()),
        }
    }

    fn no_match(&self) -> &'static str {
        match (&self.on, &self.off) {
            (Some(_), Some(_)) => "neither status_on_regex nor status_off_regex matches the reply",
            (None, _) => {
                "status_off_regex does not match the reply, and without status_on_regex that is all that can be said"
            }
            (_, None) => {
                "status_on_regex does not match the reply, and without status_off_regex that is all that can be said"
            }
        }
    }
}

fn compiled(settings: &Settings, option: &str) -> Result<Option<Regex>> {
    let Some(text) = settings.text(option) else {
        return Ok(None);
    };
    if text.len() > LONGEST {
        return Err(Error::config(
            option,
            format!("is longer than {LONGEST} bytes"),
            "a few words around the state are enough",
        ));
    }
    let regex = compile(text).map_err(|cause| {
        let mend = "write a regular expression in the syntax of Rust's regex-lite: no look-around, no backreferences";
        Error::config(option, format!("\"{text}\": {cause} (at character {})", place(text)), mend).caused_by(cause)
    })?;
    if regex.is_match("") {
        return Err(Error::config(
            option,
            format!("\"{text}\" matches an empty reply, and so every reply"),
            "write one that matches only in that state",
        ));
    }
    Ok(Some(regex))
}

fn compile(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).size_limit(SIZE_LIMIT).build()
}

/// Where an expression goes wrong: the first character after which its error stays the same. The library does not
/// say.
fn place(text: &str) -> usize {
    let error_of = |part: &str| compile(part).err().map(|error| error.to_string());
    let whole = error_of(text);
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    let same = |end: &&usize| text.get(..**end).is_some_and(|part| error_of(part) == whole);
    ends.len() - ends.iter().rev().take_while(same).count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Method;
    use crate::power::Observation::{Off, On};

    fn patterns(on: &str, off: &str) -> Result<Patterns> {
        let mut settings = Settings::new(Method::Http);
        settings.set("status_on_regex", on)?;
        settings.set("status_off_regex", off)?;
        Patterns::from_settings(&settings)
    }

    #[test]
    fn a_state_needs_its_own_match_and_no_other() {
        let both = patterns(r#""state": *"on""#, r#""state": *"off""#).unwrap();
        assert_eq!(both.observe(r#"{"state":"on"}"#), On);
        assert_eq!(both.observe(r#"{"state": "off"}"#), Off);
        for unclear in [
            "",
            "{}",
            r#"{"state":"OFF"}"#,
            r#"[{"state":"on"},{"state":"off"}]"#,
        ] {
            assert!(
                matches!(both.observe(unclear), Observation::Unknown(_)),
                "{unclear}"
            );
        }
    }

    #[test]
    fn the_missing_state_is_never_the_complement() {
        let only_on = patterns("ON", "").unwrap();
        assert!(matches!(only_on.observe("OFF"), Observation::Unknown(_)));
        assert!(!only_on.can_see_off());
        let only_off = patterns("", "OFF").unwrap();
        assert_eq!(only_off.observe("OFF"), Off);
        assert!(matches!(only_off.observe("ON"), Observation::Unknown(_)));
    }

    #[test]
    fn expressions_that_prove_nothing_are_refused() {
        for (on, off) in [
            ("", ""),
            ("x", "x"),
            ("on", ".*"),
            ("on", "off|"),
            ("on", "^"),
            ("(?:)", "off"),
        ] {
            let error = patterns(on, off).unwrap_err().to_string();
            assert!(error.contains("_regex"), "{error}");
        }
    }

    #[test]
    fn an_error_names_option_and_place() {
        for (wrong, at) in [
            ("ab(cd", 3),
            ("ab)cd", 3),
            ("*x", 1),
            ("a[b-a]", 5),
            (r"off\y", 5),
            ("x{2", 3),
        ] {
            let error = patterns("on", wrong).unwrap_err().to_string();
            assert!(error.starts_with("status_off_regex: "), "{error}");
            assert!(
                error.contains(&format!("(at character {at})")),
                "{wrong}: {error}"
            );
        }
        for large in ["a".repeat(2000), "(?:a{500}){500}".to_owned()] {
            assert!(patterns("on", &large).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_expression_and_no_page_crashes(text in ".{1,40}", page in ".{0,80}") {
            if let Ok(patterns) = patterns("on", &text) {
                let _ = patterns.observe(&page);
            }
        }
    }
}
