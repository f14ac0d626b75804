//! Walking through XML that somebody else wrote: elements with their attributes, and where they stand.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// No tool of Pacemaker's nests deeper; a text that does is not theirs.
const DEEPEST: usize = 64;

/// An element on the way down.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value that is always there; empty where it is not.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A yes or no of Pacemaker's.
    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }
}

/// Pacemaker's words for yes.
pub(crate) fn is_true(text: &str) -> bool {
    ["true", "yes", "on", "y", "1"]
        .iter()
        .any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// Goes through all elements. `visit` gets each with those around it, outermost first, and the text directly in it
/// comes to `text`.
///
/// # Errors
/// In words, what is wrong with the text; it is never shown, since it may hold passwords.
pub(super) fn walk(
    text: &str,
    mut visit: impl FnMut(&[Element], &Element),
    mut text_in: impl FnMut(&Element, &str),
) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut around: Vec<Element> = Vec::new();
    let mut any = false;
    loop {
        match reader.read_event().map_err(|_| wrong(&reader))? {
            Event::Start(start) => {
                let element = element(&start).ok_or_else(|| wrong(&reader))?;
                visit(&around, &element);
                any = true;
                if around.len() >= DEEPEST {
                    return Err("is nested too deeply".to_owned());
                }
                around.push(element);
            }
            Event::Empty(start) => {
                let element = element(&start).ok_or_else(|| wrong(&reader))?;
                visit(&around, &element);
                any = true;
            }
            Event::End(_) => drop(around.pop()),
            Event::Text(inner) => {
                if let Some(element) = around.last() {
                    text_in(element, inner.trim());
                }
            }
            Event::Eof if any && around.is_empty() => return Ok(()),
            Event::Eof => return Err("ends too early".to_owned()),
            _ => {}
        }
    }
}

fn wrong(reader: &Reader<&[u8]>) -> String {
    format!("is no XML at byte {}", reader.buffer_position())
}

fn element(start: &BytesStart<'_>) -> Option<Element> {
    let name = start.name().into_inner().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let key = attribute.key.into_inner().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
        attributes.push((key, value));
    }
    Some(Element { name, attributes })
}
