//! From the tree to plain values, with errors that name file, line, column, key, value and mend.

use std::fmt::Display;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::suggest;
use super::yaml::{Content, Fault, Position, Value};
use crate::error::{Error, Result};
use crate::options::{parse_boolean, parse_host_address};

/// A text's name, for its errors and warnings.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    source: String,
}

/// An entry of a map: its key, and where in the file's own words it is.
#[derive(Clone, Debug)]
pub(super) struct Field<'v> {
    pub(super) key: &'v str,
    /// The keys above it and its own, as `stonith_nodes.storage-b.ip`.
    pub(super) path: String,
    pub(super) at: Position,
    pub(super) value: &'v Value,
}

impl Field<'_> {
    /// Where its value stands; where its key does when there is no value.
    pub(super) fn value_at(&self) -> Position {
        match self.value.content {
            Content::Null => self.at,
            _ => self.value.at,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value.content, Content::Null)
    }
}

impl Reader {
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
        }
    }

    /// `cluster.yml, line 3, column 5: stonith_nodes.a.ip`.
    pub(super) fn place(&self, at: Position, path: &str) -> String {
        let colon = if path.is_empty() { "" } else { ": " };
        format!(
            "{}, line {}, column {}{colon}{path}",
            self.source, at.line, at.column
        )
    }

    pub(super) fn wrong(&self, at: Position, path: &str, problem: impl Display, mend: impl Display) -> Error {
        Error::config(self.place(at, path), problem.to_string(), mend.to_string())
    }

    pub(super) fn fault(&self, fault: Fault) -> Error {
        self.wrong(fault.at, "", fault.problem, fault.mend)
    }

    /// An option's error, moved to the place in the file that is at fault.
    pub(super) fn moved(&self, error: Error, at: Position, path: &str) -> Error {
        match error {
            Error::Config {
                problem,
                mend,
                source,
                ..
            } => Error::Config {
                option: self.place(at, path),
                problem,
                mend,
                source,
            },
            other => other,
        }
    }

    /// The entries of a map; each key once. `above` is the path of the map, empty at the top.
    pub(super) fn fields<'v>(&self, value: &'v Value, at: Position, above: &str) -> Result<Vec<Field<'v>>> {
        let fields = self.fields_with_repeats(value, at, above)?;
        for (index, field) in fields.iter().enumerate() {
            if let Some(first) = fields.iter().take(index).find(|first| first.key == field.key) {
                return Err(self.repeated(field, first));
            }
        }
        Ok(fields)
    }

    pub(super) fn repeated(&self, second: &Field<'_>, first: &Field<'_>) -> Error {
        let problem = if second.key == first.key {
            format!("is there already, on line {}", first.at.line)
        } else {
            format!("says the same as {} on line {}", first.key, first.at.line)
        };
        self.wrong(second.at, &second.path, problem, "keep one of the two")
    }

    pub(super) fn fields_with_repeats<'v>(
        &self,
        value: &'v Value,
        at: Position,
        above: &str,
    ) -> Result<Vec<Field<'v>>> {
        self.refuse_tag(value, above)?;
        let Content::Map(entries) = &value.content else {
            let kind = value.content.kind();
            return Err(self.wrong(
                at,
                above,
                format!("is {kind}, not a map"),
                "write keys with values below it, as ip: 10.20.20.202",
            ));
        };
        let mut fields = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = key.text() else {
                let kind = key.content.kind();
                return Err(self.wrong(
                    key.at,
                    above,
                    format!("{kind} stands for a key"),
                    "write a name before the colon; {{ ... }} needs quotes around it",
                ));
            };
            let dot = if above.is_empty() { "" } else { "." };
            fields.push(Field {
                key: name,
                path: format!("{above}{dot}{}", shortened(name)),
                at: key.at,
                value,
            });
        }
        Ok(fields)
    }

    /// A scalar as it is written; `""` for nothing.
    pub(super) fn text<'v>(&self, field: &Field<'v>) -> Result<&'v str> {
        self.scalar(field.value, field.value_at(), &field.path)
    }

    pub(super) fn scalar<'v>(&self, value: &'v Value, at: Position, path: &str) -> Result<&'v str> {
        self.refuse_tag(value, path)?;
        let text = match &value.content {
            Content::Null => "",
            Content::Scalar(text) => text.expose(),
            other => {
                let kind = other.kind();
                return Err(self.wrong(
                    at,
                    path,
                    format!("is {kind}"),
                    "write a single value, in quotes if need be",
                ));
            }
        };
        let trimmed = text.trim();
        if trimmed.starts_with("{{") && trimmed.ends_with("}}") {
            return Err(self.wrong(
                at,
                path,
                "is an Ansible expression, which only Ansible can fill in",
                "write the value itself; for a password use password_file or password_env",
            ));
        }
        Ok(text)
    }

    fn refuse_tag(&self, value: &Value, path: &str) -> Result<()> {
        match value.tag.as_deref() {
            None | Some("!unsafe") => Ok(()),
            Some("!vault") => Err(self.wrong(
                value.at,
                path,
                "is encrypted by Ansible Vault, which only Ansible can open",
                "use password_file or password_env",
            )),
            Some(tag) => Err(self.wrong(
                value.at,
                path,
                format!("has the tag {}, which means nothing here", shortened(tag)),
                "take the tag away",
            )),
        }
    }

    /// A list; a single value counts as a list of one, nothing as an empty one.
    pub(super) fn list<'v>(&self, field: &Field<'v>) -> Result<Vec<&'v Value>> {
        self.refuse_tag(field.value, &field.path)?;
        match &field.value.content {
            Content::Null => Ok(Vec::new()),
            Content::List(items) => Ok(items.iter().map(Rc::as_ref).collect()),
            Content::Scalar(_) => Ok(vec![field.value]),
            Content::Map(_) => Err(self.wrong(
                field.value_at(),
                &field.path,
                "is a map",
                "write a list, as [a, b]",
            )),
        }
    }

    pub(super) fn boolean(&self, field: &Field<'_>) -> Result<bool> {
        let text = self.text(field)?;
        parse_boolean(text).ok_or_else(|| self.not_valid(field, text, "write true or false"))
    }

    /// A time of at least `least`: seconds, or a number with `s`, `ms`, `m` or `h`.
    pub(super) fn time(&self, field: &Field<'_>, least: Duration) -> Result<Duration> {
        let text = self.text(field)?;
        duration(text).filter(|time| *time >= least).ok_or_else(|| {
            let least = least.as_secs_f64();
            self.not_valid(
                field,
                text,
                format!("write a time of at least {least} s, as 10, 60s or 2m"),
            )
        })
    }

    pub(super) fn not_valid(&self, field: &Field<'_>, text: &str, mend: impl Display) -> Error {
        self.wrong(
            field.value_at(),
            &field.path,
            format!("\"{}\" is not valid", shortened(text)),
            mend,
        )
    }

    /// An address at which a host can answer.
    pub(super) fn address(&self, value: &Value, at: Position, path: &str) -> Result<IpAddr> {
        let text = self.scalar(value, at, path)?;
        parse_host_address(&self.place(at, path), text)
    }

    /// A key that nobody knows.
    pub(super) fn unknown(&self, field: &Field<'_>, known: &[&str]) -> Error {
        let meant = ALSO_WRITTEN
            .iter()
            .find(|(written, meant)| *written == field.key && known.contains(meant))
            .map(|(_, meant)| *meant)
            .or_else(|| suggest::nearest(field.key, known.iter().copied()));
        let mend = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => {
                let mut known = known.to_vec();
                known.sort_unstable();
                known.dedup();
                format!("the keys here are: {}", known.join(", "))
            }
        };
        self.wrong(field.at, &field.path, "is not known", mend)
    }
}

/// What people write for a key of ours, too far from it to be a slip.
const ALSO_WRITTEN: &[(&str, &str)] = &[
    ("address", "ip"),
    ("host", "ip"),
    ("hostname", "ip"),
    ("type", "method"),
    ("agent", "method"),
    ("pass", "password"),
    ("pw", "password"),
    ("secret", "password"),
    ("outlet", "plug"),
    ("relay", "plug"),
    ("mac", "identity"),
    ("management_ip", "mgmt_ip"),
    ("client_ip", "client_ips"),
    ("ports", "tcp_ports"),
    ("device", "devices"),
    ("verify_wait", "wait"),
    ("witness", "witnesses"),
];

/// Text of a file in an error: on one line, and not the whole file.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text.get(digits.len()..)?.trim() {
        "ms" | "msec" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" | "hr" => 3600.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    let day = 86_400.0;
    let seconds = number * unit;
    (seconds.is_finite() && (0.0..=day).contains(&seconds)).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_cluster_writes_them() {
        let cases = [
            ("10", 10_000),
            ("60s", 60_000),
            ("2m", 120_000),
            ("1.5 h", 5_400_000),
            ("250ms", 250),
            (" 3min ", 180_000),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1e300", "nan", "inf", "10x", "1d", "5 s 3", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn long_and_strange_text_is_shown_on_one_short_line() {
        let shown = shortened(&format!("a\nb\u{1b}[31m{}", "x".repeat(1000)));
        assert!(shown.starts_with("a\\nb\\u{1b}[31m") && shown.ends_with("...") && shown.len() < 100);
    }
}
