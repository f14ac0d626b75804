//! "Did you mean".

/// The candidate that `word` was most probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |text: &str| text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let word = bare(word);
    candidates
        .map(|candidate| (distance(&word, &bare(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance * 3 <= candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add, take away or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&row, j) + usize::from(from != to))
                .min(cell(&row, j + 1) + 1)
                .min(cell(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
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
    fn a_long_word_costs_little() {
        assert_eq!(nearest(&"x".repeat(1_000_000), ["ip"].into_iter()), None);
    }
}
