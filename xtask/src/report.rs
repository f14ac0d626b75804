//! The table of steps and the closing line.

use std::fmt::Write;
use std::time::Duration;

use crate::tally::Tally;

/// How one step went.
pub(crate) struct Row {
    pub(crate) step: &'static str,
    pub(crate) elapsed: Duration,
    /// Processor time of what it started, which tells work from waiting.
    pub(crate) processor: Duration,
    pub(crate) tally: Tally,
    /// What failed or could not run, one line each.
    pub(crate) notes: Vec<String>,
}

/// Whether everything is well: nothing failed, something ran, and in CI nothing was skipped.
pub(crate) fn is_success(total: Tally, ci: bool) -> bool {
    total.failed == 0 && total.passed > 0 && !(ci && total.skipped > 0)
}

/// The sum over all steps.
pub(crate) fn total(rows: &[Row]) -> Tally {
    let mut sum = Tally::default();
    rows.iter().for_each(|row| sum += row.tally);
    sum
}

/// The table, what went wrong, and the closing line. Steps ran beside each other: the whole took `elapsed`.
pub(crate) fn render(rows: &[Row], elapsed: Duration, ci: bool) -> String {
    let total = total(rows);
    let mut out = String::from("\nstep              time  processor    passed    failed   skipped\n");
    for row in rows {
        let Tally {
            passed,
            failed,
            skipped,
        } = row.tally;
        let (seconds, processor) = (row.elapsed.as_secs_f64(), row.processor.as_secs_f64());
        let _ = writeln!(
            out,
            "{:<12} {seconds:>7.1} s {processor:>8.1} s {passed:>9} {failed:>9} {skipped:>9}",
            row.step
        );
    }
    let processor: Duration = rows.iter().map(|row| row.processor).sum();
    let (seconds, processor) = (elapsed.as_secs_f64(), processor.as_secs_f64());
    let _ = writeln!(out, "{:<12} {seconds:>7.1} s {processor:>8.1} s", "all");
    for row in rows {
        for note in &row.notes {
            let _ = writeln!(out, "{}: {note}", row.step);
        }
    }
    if ci && total.skipped > 0 {
        let _ = writeln!(out, "in CI nothing may be skipped: this run failed");
    }
    let _ = writeln!(
        out,
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: &'static str, tally: Tally) -> Row {
        Row {
            step,
            elapsed: Duration::from_millis(1500),
            processor: Duration::from_millis(500),
            tally,
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn ends_with_the_sum_of_all_steps() {
        let text = render(
            &[row("format", Tally::PASSED), row("test", Tally::SKIPPED)],
            Duration::from_secs(2),
            false,
        );
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed, 1 skipped"));
        assert!(text.contains("format           1.5 s      0.5 s         1         0         0\n"));
        assert!(text.contains("all              2.0 s      1.0 s\n"));
        assert!(text.contains("test: a note\n"));
    }

    #[test]
    fn a_skip_fails_in_ci_alone_and_nothing_at_all_fails_everywhere() {
        let mut tally = Tally::PASSED;
        assert!(is_success(tally, true));
        tally += Tally::SKIPPED;
        assert!(is_success(tally, false) && !is_success(tally, true));
        tally += Tally::FAILED;
        assert!(!is_success(tally, false));
        assert!(!is_success(Tally::default(), false));
    }
}
