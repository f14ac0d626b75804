//! YAML (and JSON, which is YAML) to a tree in which every value knows its line and column.
//!
//! Scalars keep the spelling of the file: a password `0123` or `yes` stays what was written, whatever a YAML
//! schema makes of it. An alias shares its anchor's value, so that no number of aliases takes memory.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError};

use crate::secret::Secret;

/// Deepest nesting of lists and maps. A cluster file needs five.
const DEPTH: usize = 48;
/// How many entries `<<` may bring into maps, in the whole file.
const MERGED: usize = 100_000;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Line.
    pub(super) line: usize,
    /// Column, in characters.
    pub(super) column: usize,
}

impl Position {
    /// Where a text begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    fn of(mark: &Marker) -> Self {
        Self {
            line: mark.line().max(1),
            column: mark.col() + 1,
        }
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) at: Position,
    /// A tag that YAML itself does not know, as `!vault`.
    pub(super) tag: Option<String>,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Nothing: `key:`, `~` or `null`.
    Null,
    /// Any other scalar as it is written. It may be a password.
    Scalar(Secret),
    List(Vec<Rc<Value>>),
    Map(Entries),
}

impl Content {
    /// What it is, in the words of an error message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The entries of a map, keys and values.
type Entries = Vec<(Rc<Value>, Rc<Value>)>;

/// Why a text is no YAML: where, what, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Position,
    pub(super) problem: String,
    pub(super) mend: &'static str,
}

impl Fault {
    fn new(at: Position, problem: impl Into<String>, mend: &'static str) -> Self {
        Self {
            at,
            problem: problem.into(),
            mend,
        }
    }
}

/// The text's one document; `None` when there is nothing in it.
pub(super) fn parse(text: &str) -> Result<Option<Rc<Value>>, Fault> {
    refuse_nul(text)?;
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| fault(&error, text))?;
        builder.take(event, Position::of(&span.start))?;
    }
    Ok(builder.document)
}

fn refuse_nul(text: &str) -> Result<(), Fault> {
    let Some((before, _)) = text.split_once('\0') else {
        return Ok(());
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Err(Fault::new(
        Position { line, column },
        "a NUL character",
        "remove it; is this a text file?",
    ))
}

fn fault(error: &ScanError, text: &str) -> Fault {
    let at = Position::of(error.marker());
    let (problem, mend) = match error.kind() {
        kind if kind.to_string().contains("tab") => {
            return Fault::new(
                tab_from(text, at),
                "a tab where YAML wants spaces",
                "indent with spaces",
            );
        }
        ErrorKind::UnknownAnchor => (
            "an alias of nothing".to_owned(),
            "put a value that begins with * in quotes",
        ),
        ErrorKind::UnexpectedCharacter { character } if !matches!(character, ' '..='~') => (
            format!(
                "the character U+{:04X}, which YAML does not allow",
                u32::from(*character)
            ),
            "remove it, or write it in double quotes as \\u with four digits",
        ),
        ErrorKind::UnexpectedCharacter { .. } => (
            "a character that no value may begin with".to_owned(),
            "put values that begin with @ ` % or such in quotes",
        ),
        ErrorKind::RecursionLimitExceeded => (
            "lists and maps too deep in each other".to_owned(),
            "write it flatter; a cluster file needs few levels",
        ),
        ErrorKind::MappingValueNotAllowed => (
            "a colon where no key can stand".to_owned(),
            "check the indentation, and put a value with \": \" in it in quotes",
        ),
        ErrorKind::UnclosedQuotedScalar => ("quotes that are not closed".to_owned(), "close them"),
        kind => (
            format!("not valid YAML: {kind}"),
            "check indentation, quotes and brackets there and on the line before",
        ),
    };
    Fault { at, problem, mend }
}

/// The parser may notice a tab while it is still on the line before.
fn tab_from(text: &str, at: Position) -> Position {
    let lines = text.lines().enumerate().skip(at.line - 1).take(2);
    let mut tabs = lines.filter_map(|(index, line)| {
        let column = line
            .chars()
            .take_while(|c| c.is_whitespace())
            .position(|c| c == '\t')?;
        Some(Position {
            line: index + 1,
            column: column + 1,
        })
    });
    tabs.next().unwrap_or(at)
}

/// A list or map that is still open.
struct Open {
    at: Position,
    tag: Option<String>,
    anchor: usize,
    is_map: bool,
    children: Vec<Rc<Value>>,
}

/// Puts the parser's events together.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Value>>,
    document: Option<Rc<Value>>,
    merged: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(..) if self.document.is_some() => Err(Fault::new(
                at,
                "a second document",
                "write one document to a file, without --- in the middle",
            )),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.original());
                let is_text = style != ScalarStyle::Plain || tag.as_deref() == Some("!!str");
                let content = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if !is_text => Content::Null,
                    text => Content::Scalar(Secret::from(text)),
                };
                self.push(at, tag, anchor, content)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(at, tag.map(|tag| tag.original()), anchor, false)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(at, tag.map(|tag| tag.original()), anchor, true)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(value) => self.place(value),
                None => Err(Fault::new(
                    at,
                    "an alias of the value that it stands in",
                    "write the value out",
                )),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, tag: Option<String>, anchor: usize, is_map: bool) -> Result<(), Fault> {
        if self.open.len() >= DEPTH {
            return Err(Fault::new(
                at,
                "lists and maps too deep in each other",
                "write it flatter; a cluster file needs few levels",
            ));
        }
        self.open.push(Open {
            at,
            tag,
            anchor,
            is_map,
            children: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = if open.is_map {
            Content::Map(self.merge(pairs(open.children))?)
        } else {
            Content::List(open.children)
        };
        self.push(open.at, open.tag, open.anchor, content)
    }

    fn push(
        &mut self,
        at: Position,
        tag: Option<String>,
        anchor: usize,
        content: Content,
    ) -> Result<(), Fault> {
        let tag = tag.filter(|tag| !tag.starts_with("!!") && tag != "!");
        let value = Rc::new(Value { at, tag, content });
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        self.place(value)
    }

    fn place(&mut self, value: Rc<Value>) -> Result<(), Fault> {
        match self.open.last_mut() {
            Some(open) => open.children.push(value),
            None if matches!(value.content, Content::Null) => {}
            None => self.document = Some(value),
        }
        Ok(())
    }

    /// Brings in the entries of `<<`: those of the map itself stay, of several sources the first wins.
    fn merge(&mut self, entries: Entries) -> Result<Entries, Fault> {
        let (merges, mut own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key.text() == Some("<<"));
        if merges.is_empty() {
            return Ok(own);
        }
        let mut present: HashSet<String> = own
            .iter()
            .filter_map(|(key, _)| key.text().map(str::to_owned))
            .collect();
        for (_, source) in &merges {
            let sources = match &source.content {
                Content::List(sources) => sources.as_slice(),
                _ => std::slice::from_ref(source),
            };
            for source in sources {
                let Content::Map(entries) = &source.content else {
                    return Err(Fault::new(
                        source.at,
                        "<< of something that is no map",
                        "give it an alias of a map, as <<: *defaults",
                    ));
                };
                self.merged += entries.len();
                if self.merged > MERGED {
                    return Err(Fault::new(
                        source.at,
                        "too many << entries",
                        "write fewer of them",
                    ));
                }
                for (key, value) in entries {
                    if key.text().is_some_and(|text| present.insert(text.to_owned())) {
                        own.push((key.clone(), value.clone()));
                    }
                }
            }
        }
        Ok(own)
    }
}

impl Value {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text.expose()),
            _ => None,
        }
    }
}

fn pairs(children: Vec<Rc<Value>>) -> Entries {
    let mut children = children.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        pairs.push((key, value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Vec<(&str, &Value)> {
        let Content::Map(entries) = &value.content else {
            panic!("{}", value.content.kind())
        };
        entries
            .iter()
            .map(|(key, value)| (key.text().unwrap(), &**value))
            .collect()
    }

    fn parsed(text: &str) -> Rc<Value> {
        parse(text).unwrap().unwrap()
    }

    #[test]
    fn scalars_keep_their_spelling_and_place() {
        let root = parsed("a: 0123\nb:   yes\nc: 1_000\nd: \"\"\ne: ~\n");
        let entries = map(&root);
        let texts: Vec<_> = entries.iter().map(|(_, value)| value.text()).collect();
        assert_eq!(texts, [Some("0123"), Some("yes"), Some("1_000"), Some(""), None]);
        assert_eq!(entries[1].1.at, Position { line: 2, column: 6 });
    }

    #[test]
    fn json_is_read_too() {
        let root = parsed("{\"a\":{\"b\":[1,\"\\u00e4\",true,null]},\n\t\"c\":\"x\"}");
        let entries = map(&root);
        let inner = map(entries[0].1);
        let Content::List(list) = &inner[0].1.content else {
            panic!()
        };
        assert_eq!(list[1].text(), Some("ä"));
        assert!(matches!(list[3].content, Content::Null));
        assert_eq!(entries[1].1.text(), Some("x"));
    }

    #[test]
    fn merges_bring_in_what_is_missing() {
        let root = parsed("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 9}\n");
        let z = map(&root)[2].1;
        let flat: Vec<_> = map(z).into_iter().map(|(k, v)| (k, v.text().unwrap())).collect();
        assert_eq!(flat, [("a", "9"), ("b", "2"), ("c", "4")]);
    }

    #[test]
    fn a_million_aliases_cost_nothing() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..40 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(",");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(parse(&text).unwrap().is_some());
    }

    #[test]
    fn merge_bombs_are_refused() {
        let keys: Vec<_> = (0..2000).map(|n| format!("k{n}: 1")).collect();
        let mut text = format!("a: &a {{{}}}\n", keys.join(", "));
        for n in 0..2000 {
            text.push_str(&format!("b{n}: {{<<: *a}}\n"));
        }
        assert_eq!(parse(&text).unwrap_err().problem, "too many << entries");
    }

    #[test]
    fn faults_have_places_and_quote_nothing() {
        for (text, line, problem) in [
            ("a: 1\n\tb: 2\n", 2, "tab"),
            ("a: *hunter2\n", 1, "alias of nothing"),
            ("a: &a [*a]\n", 1, "alias of the value that it stands in"),
            ("a: @hunter2\n", 1, "no value may begin"),
            ("a: \"hunter2\nb: 1\n", 1, ""),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("a: b: hunter2\n", 1, "colon"),
            ("a: 1\nb: \0hunter2", 2, "NUL"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.at.line, line, "{text:?} {fault:?}");
            assert!(fault.problem.contains(problem), "{text:?} {fault:?}");
            assert!(!fault.problem.contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_both_ways() {
        assert!(parse(&"[".repeat(5000)).is_err());
        let block: String = (0..5000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(parse(&block).is_err());
        assert!(parse(&"- ".repeat(5000)).is_err());
    }

    #[test]
    fn nothing_is_no_document() {
        for text in ["", "\n\n", "# only words\n", "---\n", "~\n"] {
            assert!(parse(text).unwrap().is_none(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn yaml_like_text_is_read_or_refused(parts in proptest::collection::vec(
            proptest::sample::select(vec!["a", ":", " ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&x ", "*x", "\"", "'",
                "!t ", "|", ">", "#", "---\n", "<<: ", "\t", "?", "%", "\u{feff}", "\0"]), 0..60)) {
            let _ = parse(&parts.concat());
        }
    }
}
