//! The lines that a fence agent reads on stdin. The first byte picks the agent.
#![no_main]

use agent::given::Given;
use agent::stdin;
use agent::table::AGENTS;

/// The agents' own files: their program is no library.
#[path = "../../fencekit-cli/src/agent"]
#[allow(dead_code, reason = "the rest of the program is left out")]
mod agent {
    pub(crate) mod action;
    pub(crate) mod getopt;
    pub(crate) mod given;
    pub(crate) mod nearest;
    pub(crate) mod stdin;
    pub(crate) mod table;

    /// The options of `fence_check` are lines like any other.
    pub(crate) mod check {
        pub(crate) const OPTIONS: &[fencekit::options::OptionSpec] = &[];
    }
}

/// Longest input that is read, in bytes.
const LONGEST: usize = 400;
/// No message of the program has this character, so one that has it repeats a secret.
const MARK: char = '\u{1f512}';

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, lines)) = data.split_first() else {
        return;
    };
    // Pacemaker sends a dozen lines; every name that is not known is compared with all that are, which takes time.
    let lines = &lines[..lines.len().min(LONGEST)];
    let agent = &AGENTS[usize::from(*first) % AGENTS.len()];
    let read = |lines: &[u8]| {
        let mut given = Given::new(agent);
        stdin::parse(&mut given, lines).map(|()| given)
    };
    let told = |given: &Given| {
        let values: Vec<_> = given
            .specs()
            .iter()
            .map(|spec| given.text(spec.name).map(str::to_owned))
            .collect();
        let plugs = given.plugs().ok();
        (
            values,
            plugs,
            given.action().to_owned(),
            given.node().map(str::to_owned),
        )
    };
    let Ok(mut given) = read(lines) else { return };

    // Nothing but a line for the action makes it another than the default, which the program refuses to take when
    // something else was probably meant.
    let named = |line: &[u8]| {
        let name = line
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        String::from_utf8_lossy(name).into_owned()
    };
    let is_action = |line| given.spec(&named(line)).is_some_and(|spec| spec.name == "action");
    if !lines.split(|byte| *byte == b'\n').any(is_action) {
        assert!(!given.is_given("action"));
        assert_eq!(given.action(), "reboot");
    }

    // How lines end, blank ones and comments change nothing.
    let carriage: Vec<u8> = lines
        .split(|byte| *byte == b'\n')
        .collect::<Vec<_>>()
        .join(&b" \r\n\n  # action=off\n"[..]);
    let again = read(&carriage).expect("the same lines");
    assert_eq!(told(&given), told(&again));

    // What is read twice is what is read once, and a later line wins.
    let twice = [lines, b"\n", lines].concat();
    assert_eq!(told(&given), told(&read(&twice).expect("the same lines")));
    let off = [lines, b"\naction=off\n"].concat();
    assert_eq!(read(&off).expect("one line more").action(), "off");

    let mut texts = vec![
        given.check().err().map(|error| error.to_string()),
        given.check_action_is_meant().err().map(|error| error.to_string()),
        Some(format!("{given:?}")),
    ];
    let _ = (given.verbosity(), given.seconds("login_timeout"));
    if let agent::table::Target::Device(method) = agent.target {
        let settings = given.settings(method);
        texts.push(Some(format!("{settings:?}")));
        texts.push(settings.err().map(|error| error.to_string()));
    }
    let marked = |name: &str| given.text(name).is_some_and(|text| text.contains(MARK));
    let secret_alone =
        marked("password") && std::str::from_utf8(lines).is_ok_and(|all| all.matches(MARK).count() == 1);
    texts.extend(given.take_notes().into_iter().map(Some));
    if secret_alone {
        for text in texts.into_iter().flatten() {
            assert!(!text.contains(MARK), "{text}");
        }
    }
});
