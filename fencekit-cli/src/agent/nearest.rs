//! Names that were probably meant.

/// No name is longer, and comparing takes time with the length.
const LONGEST: usize = 64;

/// The name that is most like `name`, when one is much like it.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    known
        .map(|other| {
            (
                strsim::damerau_levenshtein(&name, &other.replace('_', "-")),
                other,
            )
        })
        .filter(|(distance, other)| *distance <= 1 + other.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known = || ["action", "login_timeout"].into_iter();
        assert_eq!(nearest("acton", known()), Some("action"));
        assert_eq!(nearest("Login-Timout", known()), Some("login_timeout"));
        assert_eq!(nearest("verbose", known()), None);
        assert_eq!(nearest(&"action".repeat(100_000), known()), None);
    }
}
