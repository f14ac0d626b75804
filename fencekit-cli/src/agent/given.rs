//! The options as they were given, from a command line or from stdin.

use std::collections::BTreeMap;
use std::time::Duration;

use fencekit::options::{Kind, OptionSpec, parse_boolean, parse_seconds};
use fencekit::{Error, Method, Result, Secret, Settings};

use super::nearest::nearest;
use super::table::Agent;

/// Keys that belong to Pacemaker or pcs: no reason for a warning.
const OF_THE_CLUSTER: &[&str] = &["pcmk_", "crm_", "CRM_"];

/// Whether an option makes an off harder to believe. Left out by mistake, it would be missed by nobody.
fn is_of_safety(name: &str) -> bool {
    [
        "expect_identity",
        "off_max_watts",
        "confirm_reads",
        "require_witness",
    ]
    .contains(&name)
        || name.starts_with("target_")
        || name.starts_with("witness_")
}

/// Options by name. The values stay unchecked until [`check`](Self::check), so that metadata and help never fail.
#[derive(Debug)]
pub(crate) struct Given {
    agent: &'static Agent,
    specs: Vec<OptionSpec>,
    values: BTreeMap<&'static str, Value>,
    node: Option<String>,
    verbosity: u8,
    notes: Vec<String>,
    /// Something that was probably meant as the action, but is not known as such.
    stray_action: Option<String>,
    /// A name that is not known, and the option of safety that was probably meant.
    stray_safety: Option<(String, &'static str)>,
}

#[derive(Debug)]
struct Value {
    text: Secret,
    by_old_name: bool,
}

/// Which outlets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plugs {
    /// None was named.
    None,
    /// The user named these; at least one.
    Named(Vec<String>),
    /// Pacemaker put the name of the node there.
    Node(String),
}

impl Given {
    pub(crate) fn new(agent: &'static Agent) -> Self {
        Self {
            agent,
            specs: agent.options(),
            values: BTreeMap::new(),
            node: None,
            verbosity: 0,
            notes: Vec::new(),
            stray_action: None,
            stray_safety: None,
        }
    }

    /// All options that can be given.
    pub(crate) fn specs(&self) -> &[OptionSpec] {
        &self.specs
    }

    /// The option that goes by `name`, a name of old included; `-` and `_` are the same.
    pub(crate) fn spec(&self, name: &str) -> Option<OptionSpec> {
        self.specs.iter().find(|spec| spec.is_called(name)).copied()
    }

    /// Takes a value. The last one wins, but a name of old never replaces the name of today: Pacemaker adds
    /// `port` even where `plug` is set, and sends its lines in no order.
    pub(crate) fn put(&mut self, spec: &OptionSpec, by_old_name: bool, value: &str) {
        let newer_stands = self
            .values
            .get(spec.name)
            .is_some_and(|value| by_old_name && !value.by_old_name);
        if !newer_stands {
            let text = Secret::from(value);
            self.values.insert(spec.name, Value { text, by_old_name });
        }
    }

    /// Takes the name of the node that is being fenced.
    pub(crate) fn put_node(&mut self, node: &str) {
        self.node = Some(node.trim().to_owned()).filter(|node| !node.is_empty());
    }

    /// Takes one more `-v`.
    pub(crate) fn louder(&mut self) {
        self.verbosity = self.verbosity.saturating_add(1);
    }

    /// Keeps a warning until the log is open.
    pub(crate) fn note(&mut self, warning: String) {
        self.notes.push(warning);
    }

    /// Whether a name was probably meant to be that of an option.
    pub(crate) fn is_like_an_option(&self, name: &str) -> bool {
        name == "option" || nearest(name, self.specs.iter().map(|spec| spec.name)).is_some()
    }

    /// Notes a name that no option has. Its value may be a mistyped password and is not shown.
    pub(crate) fn note_unknown(&mut self, name: &str) {
        if OF_THE_CLUSTER.iter().any(|prefix| name.starts_with(prefix)) {
            return;
        }
        let shown: String = name.chars().take(40).collect();
        let near = nearest(name, self.specs.iter().map(|spec| spec.name));
        // `option` is what the action was called long ago.
        if near == Some("action") || name == "option" {
            self.note_stray_action(&shown);
        }
        if let Some(known) = near.filter(|known| is_of_safety(known)) {
            self.stray_safety.get_or_insert((shown.clone(), known));
        }
        let hint = match near {
            Some(known) => format!("; did you mean {known}?"),
            None => String::new(),
        };
        self.note(format!("ignoring unknown option '{shown}'{hint}"));
    }

    /// Remembers something that was probably meant as the action.
    pub(crate) fn note_stray_action(&mut self, what: &str) {
        self.stray_action = Some(what.to_owned());
    }

    /// Whether the action was given, or nothing looks like a mistyped one. Who writes `acton=status`, or a bare
    /// `status`, must not get the default, which is to power a node off and on.
    ///
    /// # Errors
    /// [`Error::Config`] otherwise.
    pub(crate) fn check_action_is_meant(&self) -> Result<()> {
        match &self.stray_action {
            Some(what) if !self.values.contains_key("action") => Err(Error::config(
                "action",
                format!("is missing: '{what}' is not read as one"),
                "write action=ACTION on stdin or -o ACTION as an argument; the default would be to reboot",
            )),
            _ => Ok(()),
        }
    }

    /// Whether nothing looks like a mistyped option of safety: who writes `expect_identiy=` must not get an off that
    /// was believed without it.
    ///
    /// # Errors
    /// [`Error::Config`] otherwise.
    pub(crate) fn check_safety_is_meant(&self) -> Result<()> {
        match &self.stray_safety {
            None => Ok(()),
            Some((name, meant)) => Err(Error::config(
                *meant,
                format!(
                    "was probably meant by the unknown option '{name}', and without it less would be checked"
                ),
                format!("write {meant}=, or take '{name}' away"),
            )),
        }
    }

    /// Whether every option of safety that is given says something. A template whose variable is empty leaves a blank,
    /// and the option would be missed by nobody. Numbers and choices are never blank, by [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::Config`] for the first blank, or list of separators alone.
    pub(crate) fn refuse_blanks(&self) -> Result<()> {
        let blank = |spec: &&OptionSpec| {
            let value = self.values.get(spec.name);
            let says_nothing = |c: char| c == ',' || c.is_whitespace();
            is_of_safety(spec.name)
                && value.is_some_and(|value| value.text.expose().chars().all(says_nothing))
        };
        match self.specs.iter().find(blank) {
            None => Ok(()),
            Some(spec) => Err(Error::config(
                spec.name,
                "is blank, so that it would check nothing",
                "write its value, or take the option away",
            )),
        }
    }

    /// The warnings so far, once.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Checks every value against its option.
    ///
    /// # Errors
    /// [`Error::Config`] for the first that does not fit.
    pub(crate) fn check(&self) -> Result<()> {
        for spec in &self.specs {
            let Some(value) = self.values.get(spec.name) else {
                continue;
            };
            match spec.name {
                "verbose" if value.text.expose().trim().parse::<u8>().is_ok() => {}
                "disable_timeout" => {
                    OptionSpec::of("disable_timeout", "", Kind::Boolean, "").check(value.text.expose())?;
                }
                _ => spec.check(value.text.expose())?,
            }
        }
        Ok(())
    }

    /// The value as text, or the default; an empty one counts as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let spec = self.specs.iter().find(|spec| spec.name == name)?;
        let given = self.values.get(spec.name).map(|value| value.text.expose());
        given.or(spec.default).filter(|text| !text.is_empty())
    }

    /// Whether the option was given, by whatever value.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The name of the node, where the cluster said it.
    pub(crate) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// A yes or no; no when left out.
    pub(crate) fn boolean(&self, name: &str) -> bool {
        self.text(name).and_then(parse_boolean).unwrap_or(false)
    }

    /// A yes or no, when given.
    pub(crate) fn choice(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(parse_boolean)
    }

    /// A time, or the default; zero where there is neither.
    pub(crate) fn seconds(&self, name: &str) -> Duration {
        self.text(name).and_then(parse_seconds).unwrap_or_default()
    }

    /// The action's name; an empty one stays empty, so that it is an error and not the default.
    pub(crate) fn action(&self) -> &str {
        match self.values.get("action") {
            Some(value) => value.text.expose(),
            None => self.text("action").unwrap_or_default(),
        }
    }

    /// How much to log: 0 for errors and warnings, 1 for what is done, more for how.
    pub(crate) fn verbosity(&self) -> u8 {
        let number = |name| self.text(name).and_then(|text| text.trim().parse().ok());
        let flag = number("verbose").unwrap_or_else(|| u8::from(self.boolean("verbose")));
        number("verbose_level").unwrap_or(self.verbosity.max(flag))
    }

    /// Every secret that was given, for the log to leave out.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let secret = |spec: &&OptionSpec| spec.kind == Kind::Secret;
        let values = self.specs.iter().filter(secret);
        values
            .filter_map(|spec| Some(self.values.get(spec.name)?.text.clone()))
            .collect()
    }

    /// The outlets that are meant. Pacemaker puts the name of the node in `port`, or in `plug` with
    /// `pcmk_host_argument=plug`, for devices without a host map: that names no outlet.
    ///
    /// # Errors
    /// [`Error::Config`] when there are separators alone.
    pub(crate) fn plugs(&self) -> Result<Plugs> {
        let Some(text) = self.text("plug").map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Plugs::None);
        };
        if self.node.as_deref() == Some(text) {
            return Ok(Plugs::Node(text.to_owned()));
        }
        let separator = self.text("plug_separator").unwrap_or(",");
        let mut plugs: Vec<String> = Vec::new();
        for plug in text.split(separator).map(str::trim) {
            if !plug.is_empty() && !plugs.iter().any(|known| known == plug) {
                plugs.push(plug.to_owned());
            }
        }
        if plugs.is_empty() {
            return Err(Error::config(
                "plug",
                format!("\"{text}\" names no outlet"),
                format!("write one plug, or several with \"{separator}\" between them"),
            ));
        }
        Ok(Plugs::Named(plugs))
    }

    /// The device's own options, without the plug.
    ///
    /// # Errors
    /// [`Error::Config`] for a value that does not fit.
    pub(crate) fn settings(&self, method: Method) -> Result<Settings> {
        let mut settings = Settings::new(method);
        for spec in method.options().filter(|spec| spec.name != "plug") {
            if let Some(value) = self.values.get(spec.name) {
                settings.set(spec.name, value.text.expose())?;
            }
        }
        Ok(settings)
    }

    /// Whose options these are.
    pub(crate) fn agent(&self) -> &'static Agent {
        self.agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lines: &[(&str, &str)]) -> Given {
        let mut given = Given::new(Agent::find("fence_kasa").unwrap());
        for (name, value) in lines {
            if *name == "nodename" {
                given.put_node(value);
                continue;
            }
            let spec = given.spec(name).unwrap();
            given.put(&spec, spec.name != *name, value);
        }
        given
    }

    fn named(plugs: &[&str]) -> Plugs {
        Plugs::Named(plugs.iter().map(|plug| (*plug).to_owned()).collect())
    }

    #[test]
    fn the_name_of_today_wins_in_either_order() {
        for lines in [
            [("plug", "2"), ("port", "storage-b")],
            [("port", "storage-b"), ("plug", "2")],
        ] {
            assert_eq!(given(&lines).plugs().unwrap(), named(&["2"]));
        }
    }

    #[test]
    fn a_node_name_is_no_outlet_by_whichever_option_it_comes() {
        for option in ["port", "plug"] {
            let given = given(&[("nodename", "storage-b"), (option, "storage-b")]);
            assert_eq!(given.plugs().unwrap(), Plugs::Node("storage-b".into()));
        }
        let mapped = given(&[("nodename", "node2"), ("port", "8,9")]);
        assert_eq!(mapped.plugs().unwrap(), named(&["8", "9"]));
        let by_hand = given(&[("port", "storage-b")]);
        assert_eq!(by_hand.plugs().unwrap(), named(&["storage-b"]));
    }

    #[test]
    fn several_plugs_are_split_once_and_kept_in_order() {
        let several = given(&[("plug", "2, 1,,2")]);
        assert_eq!(several.plugs().unwrap(), named(&["2", "1"]));
        let other = given(&[("plug", "Rack, left;Rack, right"), ("plug_separator", ";")]);
        assert_eq!(other.plugs().unwrap(), named(&["Rack, left", "Rack, right"]));
        assert!(given(&[("plug", ",")]).plugs().is_err());
        assert_eq!(given(&[("plug", " ")]).plugs().unwrap(), Plugs::None);
    }

    #[test]
    fn an_empty_action_is_not_the_default() {
        assert_eq!(given(&[]).action(), "reboot");
        assert_eq!(given(&[("action", "")]).action(), "");
    }

    #[test]
    fn verbosity_is_counted_or_given() {
        let mut counted = given(&[]);
        counted.louder();
        counted.louder();
        assert_eq!(counted.verbosity(), 2);
        assert_eq!(given(&[("verbose", "yes")]).verbosity(), 1);
        assert_eq!(given(&[("verbose", "3")]).verbosity(), 3);
        assert_eq!(given(&[("verbose_level", "2"), ("verbose", "1")]).verbosity(), 2);
        assert!(given(&[("verbose", "loud")]).check().is_err());
    }

    #[test]
    fn a_slip_in_an_option_of_safety_is_no_mere_warning() {
        for (agent, slip) in [
            ("fence_kasa", "expect_identiy"),
            ("fence_kasa", "off_max_wats"),
            ("fence_kasa", "confirm_read"),
            ("fence_check", "target_mgmt_ips"),
            ("fence_check", "target_client_ip"),
            ("fence_check", "witness_storage"),
            ("fence_check", "require_witnes"),
        ] {
            let mut given = Given::new(Agent::find(agent).unwrap());
            given.note_unknown(slip);
            let error = given.check_safety_is_meant().unwrap_err().to_string();
            assert!(error.contains(slip), "{error}");
        }
        for harmless in ["pasword", "delya", "comment", "pcmk_expect_identity", "colour"] {
            let mut given = given(&[]);
            given.note_unknown(harmless);
            given.check_safety_is_meant().unwrap();
        }
    }

    #[test]
    fn an_unknown_name_is_noted_without_its_value() {
        let mut given = given(&[]);
        given.note_unknown("pasword");
        given.note_unknown("pcmk_host_list");
        assert_eq!(
            given.take_notes(),
            ["ignoring unknown option 'pasword'; did you mean password?"]
        );
    }
}
