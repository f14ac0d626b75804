//! "Did you mean".

/// Longest word that is compared; no key is nearly as long.
const LONGEST: usize = 64;

/// The candidate that `word` was most probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let bare = |text: &str| text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let word = bare(word);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, &bare(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance * 3 <= candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let keys = [
            "method",
            "ip",
            "password",
            "password_file",
            "switch_name",
            "mgmt_ip",
        ];
        let nearest = |word| nearest(word, keys.into_iter());
        assert_eq!(nearest("pasword"), Some("password"));
        assert_eq!(nearest("methdo"), Some("method"));
        assert_eq!(nearest("Password-File"), Some("password_file"));
        assert_eq!(nearest("switchname"), Some("switch_name"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest("up"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn a_long_word_costs_nothing() {
        assert_eq!(nearest(&"x".repeat(1_000_000), ["ip"].into_iter()), None);
    }
}
