//! Licence expressions as crates give them.

/// Whether somebody who accepts exactly the licences for which `allowed` is true may use what `expression` covers.
///
/// # Errors
/// What cannot be read of it.
pub(crate) fn is_allowed(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    // Before SPDX expressions, crates wrote "MIT/Apache-2.0" for a choice.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_ascii_whitespace().peekable();
    let verdict = any(&mut words, allowed)?;
    match words.next() {
        None => Ok(verdict),
        Some(word) => Err(format!("\"{word}\" is out of place")),
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitAsciiWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut verdict = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all(words, allowed)?;
    }
    Ok(verdict)
}

/// AND binds closer than OR.
fn all(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Ok(verdict)
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    match words.next() {
        Some("(") => {
            let verdict = any(words, allowed)?;
            words.next_if_eq(&")").ok_or("a bracket is not closed")?;
            Ok(verdict)
        }
        Some(word @ ("AND" | "OR" | "WITH" | ")")) => Err(format!("\"{word}\" is out of place")),
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().ok_or("no exception after WITH")?;
            // An exception only permits more.
            Ok(allowed(&format!("{name} WITH {exception}")) || allowed(name))
        }
        Some(name) => Ok(allowed(name)),
        None => Err("it ends too early".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expression: &str) -> Result<bool, String> {
        is_allowed(expression, &|name| ["MIT", "ISC", "Unicode-3.0"].contains(&name))
    }

    #[test]
    fn weighs_choices_and_sums() {
        for yes in [
            "MIT",
            "GPL-3.0 OR MIT",
            "GPL-3.0/MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND Unicode-3.0",
            "GPL-3.0 AND X OR MIT",
            "MIT WITH some-exception",
        ] {
            assert_eq!(verdict(yes), Ok(true), "{yes}");
        }
        for no in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "GPL-2.0 WITH Classpath-exception-2.0",
            "mit",
        ] {
            assert_eq!(verdict(no), Ok(false), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH", "()",
        ] {
            assert!(verdict(text).is_err(), "{text}");
        }
    }
}
