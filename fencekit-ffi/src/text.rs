//! Texts for C: NUL-terminated, whatever a device put into them.

use std::ffi::CString;

/// One line: control characters, which could end it or drive a terminal, are written as escapes.
pub(crate) fn line(text: &str) -> CString {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    whole(&clean)
}

/// A text of many lines as it is. A NUL, at which C would stop reading, becomes the replacement character.
pub(crate) fn whole(text: &str) -> CString {
    let replaced = text.contains('\0').then(|| text.replace('\0', "\u{fffd}"));
    let text = replaced.as_deref().unwrap_or(text);
    // With room for the NUL that ends it: a text that holds a secret is not to be moved and left behind.
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    // Without a NUL inside this cannot fail.
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_ends_a_line() {
        let shown = line("a\nb\0c\x1b[2J");
        assert_eq!(shown.to_str().unwrap(), "a\\nb\\u{0}c\\u{1b}[2J");
    }

    #[test]
    fn a_nul_does_not_cut_a_text() {
        assert_eq!(whole("a\n\0b").to_str().unwrap(), "a\n\u{fffd}b");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_cut(text in any::<String>()) {
            prop_assert!(whole(&text).to_str().is_ok_and(|whole| whole.chars().count() == text.chars().count()));
            prop_assert!(line(&text).to_str().is_ok_and(|line| !line.chars().any(char::is_control)));
        }
    }
}
