//! Metrics as Prometheus reads them: the text format of node_exporter's textfile collector, written and read back.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A metric with its series, in their order.
#[derive(Debug)]
pub(super) struct Metric {
    name: &'static str,
    help: &'static str,
    series: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Metric {
    /// A gauge. `help` is one line.
    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            series: Vec::new(),
        }
    }

    /// Adds a series. One that is there already stays: the format knows each only once.
    pub(super) fn set(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        if !self.series.iter().any(|(known, _)| *known == labels) {
            self.series.push((labels, value));
        }
    }
}

/// All of them as one text; a metric without series is left out.
pub(super) fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for metric in metrics.iter().filter(|metric| !metric.series.is_empty()) {
        let name = metric.name;
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", metric.help);
        for (labels, value) in &metric.series {
            text.push_str(name);
            for (index, (label, value)) in labels.iter().enumerate() {
                let before = if index == 0 { '{' } else { ',' };
                let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
            }
            if !labels.is_empty() {
                text.push('}');
            }
            let _ = writeln!(text, " {value}");
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The labels of a series.
pub(super) type Labels = BTreeMap<String, String>;

/// The series of one metric in a text of this format. What cannot be read is passed over.
pub(super) fn series(text: &str, metric: &str) -> Vec<(Labels, f64)> {
    text.lines().filter_map(|line| one_series(line, metric)).collect()
}

fn one_series(line: &str, metric: &str) -> Option<(Labels, f64)> {
    let rest = line.strip_prefix(metric)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest.strip_prefix(' ')?),
    };
    // A timestamp may follow the value.
    let value = rest.split_ascii_whitespace().next()?;
    Some((labels, value.parse().ok()?))
}

/// Labels up to their closing brace, and what follows.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquoted(quoted)?;
        labels.insert(name.trim().to_owned(), value);
        rest = after;
    }
}

/// A value up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_metric_without_series_is_left_out_and_none_comes_twice() {
        let mut one = Metric::gauge("one", "The first.");
        one.set(&[("a", "x"), ("b", "y")], 1.0);
        one.set(&[("a", "x"), ("b", "y")], 2.0);
        one.set(&[], 0.5);
        let none = Metric::gauge("none", "Not seen.");
        assert_eq!(
            text(&[one, none]),
            "# HELP one The first.\n# TYPE one gauge\none{a=\"x\",b=\"y\"} 1\none 0.5\n"
        );
    }

    #[test]
    fn a_name_that_begins_like_another_is_another() {
        let text = "one_more{a=\"x\"} 3\none 1\none{a=\"x\",} 2 1700000000000\n# one 9\none{a=\"x} 4\n";
        let found = series(text, "one");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].1, found[1].1), (1.0, 2.0));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(values in proptest::collection::vec(any::<String>(), 2), number in 0u32..) {
            let mut metric = Metric::gauge("m", "Help.");
            metric.set(&[("a", &values[0]), ("b", &values[1])], f64::from(number));
            let mut other = Metric::gauge("n", "Help.");
            other.set(&[("a", &values[0])], 1.0);
            let text = text(&[other, metric]);
            // `lines` also ends a line at a carriage return, which a name of a node cannot hold.
            if !values.iter().any(|value| value.contains('\r')) {
                let found = series(&text, "m");
                prop_assert_eq!(found.len(), 1, "{}", text);
                prop_assert_eq!(&found[0].0["a"], &values[0]);
                prop_assert_eq!(&found[0].0["b"], &values[1]);
                prop_assert_eq!(found[0].1, f64::from(number));
            }
        }

        #[test]
        fn no_text_ends_the_program(text in any::<String>(), rest in "[ -~\n]{0,80}") {
            let _ = series(&text, "m");
            let _ = series(&format!("m{{{rest}"), "m");
        }
    }
}
