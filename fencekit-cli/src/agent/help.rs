//! `-h`: the options for people.

use std::fmt::Write;

use fencekit::options::{Kind, OptionSpec};

use super::metadata::usage;
use super::table::{ACTIONS, Agent};

const WIDTH: usize = 80;
const INDENT: usize = 34;

/// The help text.
pub(crate) fn text(agent: &Agent) -> String {
    let name = agent.name;
    let mut text = format!(
        "{}\n\nUsage:\n    {name} [options]          options as below\n    {name} < lines            \
         key=value lines, with _ for - in names\n\nOptions:\n",
        agent.short
    );
    for spec in agent.options() {
        option(&mut text, &spec);
    }
    let _ = writeln!(
        text,
        "\nExit: 0 done, or the status is ON; 2 the status is OFF; 1 every failure."
    );
    text
}

fn option(text: &mut String, spec: &OptionSpec) {
    let left = usage(spec);
    let _ = if left.chars().count() + 4 < INDENT {
        write!(text, "   {left:width$}", width = INDENT - 3)
    } else {
        write!(text, "   {left}\n{:INDENT$}", "")
    };
    let mut column = INDENT;
    for word in help_of(spec).split_whitespace() {
        if column > INDENT && column + 1 + word.chars().count() > WIDTH {
            let _ = write!(text, "\n{:INDENT$}", "");
            column = INDENT;
        }
        if column > INDENT {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
}

fn help_of(spec: &OptionSpec) -> String {
    if spec.name == "action" {
        return format!("Action: {} (default reboot)", ACTIONS.join(", "));
    }
    let mut help = spec.help.to_owned();
    if let Kind::Choice(words) = spec.kind {
        let _ = write!(help, " ({})", words.join("|"));
    }
    if let Some(default) = spec.default {
        let _ = write!(help, " (default {default})");
    }
    if spec.required {
        help.push_str(" (required)");
    }
    help
}

#[cfg(test)]
mod tests {
    use super::super::table::AGENTS;
    use super::*;

    #[test]
    fn the_help_fits_a_terminal_and_names_every_option() {
        for agent in AGENTS {
            let text = text(agent);
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{}: {line}", agent.name);
                assert!(line.trim_end() == line, "{}: {line:?}", agent.name);
            }
            for spec in agent.options() {
                assert!(text.contains(&format!("--{}", spec.long)), "{}", spec.long);
            }
        }
    }
}
