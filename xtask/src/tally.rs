//! Counts of tests, read from what their runners print.

use std::ops::AddAssign;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that passed.
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One check that failed.
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// One check that could not run.
    pub(crate) const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// The sum of cargo's `test result:` lines; ignored tests count as skipped.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            if let Some((_, counts)) = line.split_once("test result: ") {
                let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
                sum += Self::of_counts(counts, &[';', ',']);
            }
        }
        sum
    }

    /// The last line that gives counts as `3 passed, 1 failed, 2 skipped`, as pytest and our own scripts print it.
    pub(crate) fn of_closing_line(output: &str) -> Self {
        output
            .lines()
            .rev()
            .map(|line| Self::of_counts(line.trim_matches(|c| c == '=' || c == ' '), &[',']))
            .find(|tally| *tally != Self::default())
            .unwrap_or_default()
    }

    fn of_counts(text: &str, separators: &[char]) -> Self {
        let mut tally = Self::default();
        for part in text.split(separators) {
            let mut words = part.split_ascii_whitespace();
            let Some(count) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => tally.passed += count,
                Some("failed" | "error" | "errors") => tally.failed += count,
                Some("skipped" | "ignored") => tally.skipped += count,
                _ => {}
            }
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn sums_the_results_of_cargo() {
        let output = "running 2 tests\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.32s\n\
            99 passed by a test that prints\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(Tally::of_cargo(output), tally(7, 3, 1));
        assert_eq!(Tally::of_cargo(""), Tally::default());
    }

    #[test]
    fn reads_the_closing_line_of_pytest_and_of_scripts() {
        let pytest = "collected 6 items\n===== 1 failed, 4 passed, 1 skipped in 0.12s =====\n";
        assert_eq!(Tally::of_closing_line(pytest), tally(4, 1, 1));
        assert_eq!(
            Tally::of_closing_line("1 passed, 0 failed\nbut\n12 passed, 0 failed, 3 skipped\n\n"),
            tally(12, 0, 3)
        );
        assert_eq!(Tally::of_closing_line("no count here"), Tally::default());
    }
}
