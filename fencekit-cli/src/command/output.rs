//! What goes to stdout: a table for people, one JSON document for programs.

use std::io::{IsTerminal, Write};

use fencekit::{Identity, Observation, PowerReading};
use serde_json::Value;

use crate::agent::logging::clean;

/// Writes one JSON document. Somebody who stops reading is no failure of ours.
pub(super) fn document(value: &Value) {
    let _ = writeln!(std::io::stdout(), "{value}");
}

/// Writes a line.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    /// What follows belongs to it.
    Heading,
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// Wrong, or not known.
    Bad,
    /// Less important.
    Faint,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "1",
            Self::Good => "32",
            Self::Notice => "33",
            Self::Bad => "31",
            Self::Faint => "2",
        }
    }
}

/// Whether a stream is to be coloured: on a terminal, and unless the user said no.
pub(super) fn coloured(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && !unwanted && !dumb
}

/// `text` in a colour, where colours are wanted.
pub(super) fn painted(text: &str, colour: Colour, coloured: bool) -> String {
    if coloured && colour != Colour::Plain {
        format!("\x1b[{}m{text}\x1b[0m", colour.code())
    } else {
        text.to_owned()
    }
}

/// Rows of cells under a heading, in columns that fit.
#[derive(Debug)]
pub(super) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<(String, Colour)>>,
}

impl Table {
    pub(super) fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Devices choose part of the words, so nothing in it may drive a terminal.
    pub(super) fn row(&mut self, cells: Vec<(String, Colour)>) {
        let cells = cells
            .into_iter()
            .map(|(text, colour)| (clean(&text), colour))
            .collect();
        self.rows.push(cells);
    }

    pub(super) fn print(&self) {
        let coloured = coloured(&std::io::stdout());
        let _ = write!(std::io::stdout(), "{}", self.text(coloured));
    }

    fn text(&self, coloured: bool) -> String {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let heading = self.heading.get(column).map_or(0, |text| text.len());
            cells
                .map(|(text, _)| text.chars().count())
                .max()
                .unwrap_or(0)
                .max(heading)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width_of).collect();
        let heading: Vec<_> = self
            .heading
            .iter()
            .map(|text| ((*text).to_owned(), Colour::Faint))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            let mut gap = 0;
            for ((cell, colour), width) in row.iter().zip(&widths) {
                if cell.is_empty() {
                    gap += width + 2;
                    continue;
                }
                line.push_str(&" ".repeat(gap));
                line.push_str(&painted(cell, *colour, coloured));
                gap = width + 2 - cell.chars().count().min(*width);
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// A state's colour.
pub(super) fn colour(observation: &Observation) -> Colour {
    match observation {
        Observation::On => Colour::Good,
        Observation::Off => Colour::Notice,
        Observation::Unknown(_) => Colour::Bad,
    }
}

/// `61.2 W`; nothing without a meter.
pub(super) fn watts(power: Option<&PowerReading>) -> String {
    power.map_or_else(String::new, |reading| format!("{:.1} W", reading.watts))
}

/// Who answered, in few words: a name, and what tells it from others.
pub(super) fn who(identity: &Identity) -> String {
    let number = identity
        .mac
        .as_ref()
        .or(identity.guid.as_ref())
        .or(identity.device_id.as_ref());
    match (identity.name.as_ref(), number) {
        (Some(name), Some(number)) => format!("{name} ({number})"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NODE", "STATE", "DETAIL"]);
        table.row(vec![
            ("storage-a".into(), Colour::Plain),
            ("on".into(), Colour::Good),
            ("ä\x1b[31m\n".into(), Colour::Plain),
        ]);
        table.row(vec![
            (String::new(), Colour::Plain),
            ("unknown".into(), Colour::Bad),
            (String::new(), Colour::Plain),
        ]);
        table
    }

    #[test]
    fn columns_fit_and_lines_have_no_blank_ends() {
        let expected = "\
NODE       STATE    DETAIL
storage-a  on       ä\\u{1b}[31m\\n
           unknown
";
        assert_eq!(table().text(false), expected);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = table().text(true);
        assert!(
            coloured.contains("storage-a  \x1b[32mon\x1b[0m       ä"),
            "{coloured}"
        );
    }
}
