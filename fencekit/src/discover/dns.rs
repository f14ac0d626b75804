//! DNS messages as bytes: questions out, records in (RFC 1035; RFC 6763 for what services say of themselves).

/// Longest name in text form. The wire's own limit is 255 bytes.
const LONGEST_NAME: usize = 255;
/// Records of one message that are read; a device sends a dozen.
const MOST_RECORDS: usize = 256;
/// Steps back that one name may take through compression.
const MOST_JUMPS: usize = 16;

const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const CLASS_IN: u16 = 1;
/// Of a question: the answer may come to the asker alone.
const UNICAST: u16 = 0x8000;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// An instance of a service.
    Pointer(String),
    /// Host and port of an instance.
    Service { host: String, port: u16 },
    /// What an instance says of itself, as keys in lower case and values.
    Text(Vec<(String, String)>),
    /// An address of a host.
    Address(std::net::IpAddr),
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) data: Data,
}

/// A question for the instances of services, as `_http._tcp.local`.
pub(super) fn question(id: u16, services: &[&str]) -> Vec<u8> {
    let mut message = Vec::with_capacity(64);
    let count = u16::try_from(services.len()).unwrap_or(u16::MAX);
    for word in [id, 0, count, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    for service in services {
        for label in service.split('.') {
            let label = label.get(..label.len().min(63)).unwrap_or_default();
            message.push(u8::try_from(label.len()).unwrap_or_default());
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&TYPE_PTR.to_be_bytes());
        message.extend_from_slice(&(CLASS_IN | UNICAST).to_be_bytes());
    }
    message
}

/// The records of an answer that are understood, of all its sections. Empty for what is no answer; what comes before a
/// cut or malformed record is kept.
pub(super) fn records(message: &[u8]) -> Vec<Record> {
    let mut reader = Reader { message, at: 0 };
    read(&mut reader).unwrap_or_default()
}

fn read(reader: &mut Reader<'_>) -> Option<Vec<Record>> {
    let header: [u16; 6] = [
        reader.word()?,
        reader.word()?,
        reader.word()?,
        reader.word()?,
        reader.word()?,
        reader.word()?,
    ];
    let [_, flags, questions, answers, authorities, additional] = header;
    if flags & 0x8000 == 0 {
        return None;
    }
    for _ in 0..questions.min(64) {
        reader.name()?;
        reader.take(4)?;
    }
    let count = usize::from(answers) + usize::from(authorities) + usize::from(additional);
    let mut records = Vec::new();
    for _ in 0..count.min(MOST_RECORDS) {
        match record(reader) {
            Some(Some(record)) => records.push(record),
            Some(None) => {}
            None => break,
        }
    }
    Some(records)
}

/// The next record; the inner `None` for one of a kind that is not needed, the outer for a malformed one.
fn record(reader: &mut Reader<'_>) -> Option<Option<Record>> {
    let name = reader.name()?;
    let (kind, class) = (reader.word()?, reader.word()?);
    reader.take(4)?; // how long it may be kept
    let length = usize::from(reader.word()?);
    let start = reader.at;
    let bytes = reader.take(length)?;
    let mut inside = Reader {
        message: reader.message,
        at: start,
    };
    if class & !UNICAST != CLASS_IN {
        return Some(None);
    }
    let data = match kind {
        TYPE_PTR => inside.name().map(Data::Pointer),
        TYPE_SRV => service(&mut inside),
        TYPE_TXT => Some(Data::Text(texts(bytes))),
        TYPE_A => <[u8; 4]>::try_from(bytes).ok().map(|ip| Data::Address(ip.into())),
        TYPE_AAAA => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|ip| Data::Address(ip.into())),
        _ => None,
    };
    Some(data.map(|data| Record { name, data }))
}

fn service(reader: &mut Reader<'_>) -> Option<Data> {
    let (_priority, _weight) = (reader.word()?, reader.word()?);
    let port = reader.word()?;
    let host = reader.name()?;
    Some(Data::Service { host, port })
}

/// Pairs `key=value`, each with its length before it; a key without a value has an empty one.
fn texts(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let Some((pair, rest)) = rest.split_at_checked(usize::from(*length)) else {
            break;
        };
        bytes = rest;
        let pair = String::from_utf8_lossy(pair);
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        if !key.is_empty() {
            pairs.push((key.to_ascii_lowercase(), value.to_owned()));
        }
    }
    pairs
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn word(&mut self) -> Option<u16> {
        let bytes = <[u8; 2]>::try_from(self.take(2)?).ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    /// A name, with dots between its labels. A dot within a label, which an instance's name may have, is written `\.`.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut after = None;
        let mut jumps = 0;
        loop {
            let length = self.byte()?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.take(usize::from(length))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    let label = String::from_utf8_lossy(label);
                    name.push_str(&label.replace('\\', "\\\\").replace('.', "\\."));
                    if name.len() > 4 * LONGEST_NAME {
                        return None;
                    }
                }
                192.. => {
                    let low = self.byte()?;
                    after.get_or_insert(self.at);
                    jumps += 1;
                    if jumps > MOST_JUMPS {
                        return None;
                    }
                    self.at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                _ => return None,
            }
        }
        if let Some(after) = after {
            self.at = after;
        }
        Some(name)
    }
}

/// The first label of a name, as it was before it was put into one.
pub(super) fn first_label(name: &str) -> String {
    let mut label = String::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => label.extend(chars.next()),
            '.' => break,
            other => label.push(other),
        }
    }
    label
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer of one device, with compression as devices use it.
    pub(in super::super) fn answer(service: &str, instance: &str, texts: &[&str], port: u16) -> Vec<u8> {
        let mut message = Vec::new();
        for word in [0u16, 0x8400, 0, 4, 0, 0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        let service_at = message.len();
        for label in service.split('.') {
            push_label(&mut message, label);
        }
        message.push(0);
        let mut instance_at = 0;
        let mut pointer = Vec::new();
        push_label(&mut pointer, instance);
        pointer.extend_from_slice(&jump(service_at));
        record_into(&mut message, None, TYPE_PTR, &pointer, &mut instance_at);
        let instance_at = instance_at;
        let mut unused = 0;
        let mut service = vec![0, 0, 0, 0];
        service.extend_from_slice(&port.to_be_bytes());
        push_label(&mut service, "host");
        push_label(&mut service, "local");
        service.push(0);
        record_into(&mut message, Some(instance_at), TYPE_SRV, &service, &mut unused);
        let mut text = Vec::new();
        for pair in texts {
            push_label(&mut text, pair);
        }
        record_into(&mut message, Some(instance_at), TYPE_TXT, &text, &mut unused);
        push_label(&mut message, "host");
        push_label(&mut message, "local");
        message.push(0);
        record_into(&mut message, None, TYPE_A, &[10, 20, 20, 203], &mut unused);
        message
    }

    fn push_label(message: &mut Vec<u8>, label: &str) {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }

    fn jump(to: usize) -> [u8; 2] {
        (0xc000 | u16::try_from(to).unwrap()).to_be_bytes()
    }

    /// A record whose name is a jump, or stands in the message already.
    fn record_into(message: &mut Vec<u8>, name: Option<usize>, kind: u16, data: &[u8], data_at: &mut usize) {
        if let Some(name) = name {
            message.extend_from_slice(&jump(name));
        }
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0x80, 1, 0, 0, 0, 120]);
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        *data_at = message.len();
        message.extend_from_slice(data);
    }

    #[test]
    fn the_question_is_as_the_standard_has_it() {
        let asked = question(7, &["_http._tcp.local"]);
        let mut expected = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(b"\x05_http\x04_tcp\x05local\x00\x00\x0c\x80\x01");
        assert_eq!(asked, expected);
    }

    #[test]
    fn an_answer_is_read_through_its_compression() {
        let message = answer(
            "_esphomelib._tcp.local",
            "Büro 1.2",
            &["mac=98", "Version=2026.10.0", "flag"],
            6053,
        );
        let records = records(&message);
        let name = "Büro 1\\.2._esphomelib._tcp.local".to_owned();
        assert_eq!(records.len(), 4);
        assert_eq!(records[0].data, Data::Pointer(name.clone()));
        assert_eq!(first_label(&name), "Büro 1.2");
        assert_eq!(records[1].name, name);
        assert_eq!(
            records[1].data,
            Data::Service {
                host: "host.local".to_owned(),
                port: 6053
            }
        );
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            records[2].data,
            Data::Text(vec![
                pair("mac", "98"),
                pair("version", "2026.10.0"),
                pair("flag", "")
            ])
        );
        assert_eq!(records[3].data, Data::Address([10, 20, 20, 203].into()));
    }

    #[test]
    fn what_is_cut_keeps_what_came_before() {
        let message = answer("_http._tcp.local", "plug", &["a=b"], 80);
        let whole = records(&message).len();
        for end in 0..message.len() {
            assert!(records(&message[..end]).len() < whole, "cut at {end}");
        }
    }

    #[test]
    fn a_name_that_leads_back_to_itself_ends() {
        let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        message.extend_from_slice(&[0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert!(records(&message).is_empty());
        assert!(
            records(&question(1, &["_http._tcp.local"])).is_empty(),
            "a question is no answer"
        );
    }

    proptest! {
        #[test]
        fn hostile_messages_neither_panic_nor_hang(mut bytes in prop::collection::vec(any::<u8>(), 12..600)) {
            bytes[2] |= 0x80;
            prop_assert!(records(&bytes).len() <= MOST_RECORDS);
        }

        #[test]
        fn a_flipped_byte_does_not_panic(at in 0usize..200, byte in any::<u8>()) {
            let mut message = answer("_http._tcp.local", "plug", &["devicetype=tasmota"], 80);
            let at = at % message.len();
            message[at] = byte;
            let _ = records(&message);
        }
    }
}
