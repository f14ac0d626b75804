//! The agents and their option tables.

use fencekit::Method;
use fencekit::options::{Kind, OptionSpec};

use super::check;

/// One fence agent.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Its name, which is also the name of its link.
    pub(crate) name: &'static str,
    /// One line for lists of agents.
    pub(crate) short: &'static str,
    /// A paragraph for manuals.
    pub(crate) long: &'static str,
    /// What it acts on.
    pub(crate) target: Target,
}

/// What an agent acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A device that cuts power.
    Device(Method),
    /// A node that was fenced, to be verified.
    Node,
}

/// All agents.
pub(crate) const AGENTS: &[Agent] = &[
    Agent {
        name: "fence_kasa",
        short: "Fence agent for TP-Link Kasa and Tapo smart plugs and power strips",
        long: "fence_kasa switches TP-Link Kasa and Tapo plugs, and single outlets of their power strips, over the \
               local network and without the maker's cloud. It speaks XOR on TCP 9999 and, with username and \
               password, the encrypted protocols of newer firmware. An off succeeds only once the plug, asked on a \
               new connection, reports it. Set expect_identity to the plug's MAC address, so that another device \
               that takes over its network address is never mistaken for it.",
        target: Target::Device(Method::Kasa),
    },
    Agent {
        name: "fence_tasmota",
        short: "Fence agent for relays with Tasmota firmware",
        long: "fence_tasmota switches relays of devices with Tasmota firmware over HTTP. An off succeeds only once the \
               device, asked on a new connection, reports it. Set expect_identity to the device's MAC address, so \
               that another device that takes over its network address is never mistaken for it.",
        target: Target::Device(Method::Tasmota),
    },
    Agent {
        name: "fence_esphome",
        short: "Fence agent for ESPHome switches",
        long: "fence_esphome switches devices with ESPHome firmware over their web server or over the encrypted native \
               API. An off succeeds only once the device, freshly asked, reports it. Set expect_identity to the \
               device's MAC address or name, so that another device that takes over its network address is never \
               mistaken for it.",
        target: Target::Device(Method::Esphome),
    },
    Agent {
        name: "fence_http",
        short: "Fence agent for outlets with an HTTP on, off and status URL",
        long: "fence_http switches any plug or power distribution unit that has one URL to switch on, one to switch \
               off and one that tells the state. Two regular expressions say which answers mean ON and OFF; an \
               answer that matches neither, or both, is a failure.",
        target: Target::Device(Method::Http),
    },
    Agent {
        name: "fence_ipmi",
        short: "Fence agent for BMCs over IPMI 2.0",
        long: "fence_ipmi switches machines through their baseboard management controller over IPMI 2.0 (RMCP+), \
               without calling another program. It switches off and on and confirms both; method=cycle is only used \
               when asked for, since its off part cannot be confirmed.",
        target: Target::Device(Method::Ipmi),
    },
    Agent {
        name: "fence_check",
        short: "Fence agent that verifies a fenced node and switches nothing",
        long: "fence_check is the second device of a fencing level. It succeeds only when the node is proven dead: \
               its fence device, asked anew, says off, and the node is silent on every one of its networks for the \
               whole of verify_wait, although an answer would have been heard. Any answer, a device that says on or \
               cannot be asked, a probe that fails, and a network whose witness is silent too are failures. The \
               action on succeeds and does nothing; status prints what can be seen of the node.",
        target: Target::Node,
    },
];

/// The actions of every agent, in the order of the metadata. A `list` that has nothing to name says so: Pacemaker takes
/// an agent without the action, and without a host list, for one that can fence whatever node it answers for.
pub(crate) const ACTIONS: &[&str] = &[
    "on",
    "off",
    "reboot",
    "status",
    "list",
    "list-status",
    "monitor",
    "metadata",
    "manpage",
    "validate-all",
];

/// Where the project lives, for metadata.
pub(crate) const VENDOR_URL: &str = env!("CARGO_PKG_REPOSITORY");

impl Agent {
    /// The agent called `name`.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        AGENTS.iter().find(|agent| agent.name == name)
    }

    /// Everything that the agent takes, in the order of its documentation.
    pub(crate) fn options(&self) -> Vec<OptionSpec> {
        let mut options = vec![ACTION];
        match self.target {
            Target::Device(method) => {
                options.extend(method.options().map(|spec| with_standard_port(*spec, method)));
                options.extend_from_slice(OF_DEVICES);
            }
            Target::Node => options.extend_from_slice(check::OPTIONS),
        }
        options.extend_from_slice(OF_ALL);
        without_clashes(options)
    }
}

/// The port where the method has exactly one; the others choose by protocol.
fn with_standard_port(spec: OptionSpec, method: Method) -> OptionSpec {
    match (spec.name, method) {
        ("ipport", Method::Tasmota) => spec.or("80"),
        ("ipport", Method::Ipmi) => spec.or("623"),
        _ => spec,
    }
}

/// The first that claims a letter keeps it: `-C` is IPMI's cipher, and the separator of lists elsewhere. An option
/// that a method brings itself replaces the agents' own.
fn without_clashes(options: Vec<OptionSpec>) -> Vec<OptionSpec> {
    let mut kept: Vec<OptionSpec> = Vec::with_capacity(options.len());
    for mut spec in options {
        if kept.iter().any(|other| other.is_called(spec.name)) {
            continue;
        }
        if spec
            .short
            .is_some_and(|letter| kept.iter().any(|other| other.short == Some(letter)))
        {
            spec.short = None;
        }
        kept.push(spec);
    }
    kept
}

const ACTION: OptionSpec = OptionSpec::text("action", "action", "Fencing action")
    .letter('o')
    .or("reboot");

const OF_DEVICES: &[OptionSpec] = &[
    OptionSpec::of(
        "method",
        "method",
        Kind::Choice(&["onoff", "cycle"]),
        "Method to reboot; cycle is the device's own and cannot be confirmed",
    )
    .letter('m')
    .or("onoff"),
    OptionSpec::of(
        "missing_as_off",
        "missing-as-off",
        Kind::Boolean,
        "Status of a plug that the device says it does not have is OFF instead of a failure",
    ),
    OptionSpec::text(
        "plug_separator",
        "plug-separator",
        "Separator for plug parameter when specifying more than 1 plug",
    )
    .or(","),
    OptionSpec::text(
        "separator",
        "separator",
        "Separator for CSV created by 'list' operation",
    )
    .letter('C')
    .or(","),
    OptionSpec::text(
        "disable_timeout",
        "disable-timeout",
        "Disable timeout (true/false) (default: true when run from Pacemaker 2.0+)",
    ),
];

const OF_ALL: &[OptionSpec] = &[
    OptionSpec::of(
        "delay",
        "delay",
        Kind::Seconds,
        "Wait X seconds before fencing is started",
    )
    .or("0"),
    OptionSpec::of(
        "quiet",
        "quiet",
        Kind::Boolean,
        "Disable logging to stderr. Does not affect --verbose or --debug-file or logging to syslog.",
    )
    .letter('q'),
    OptionSpec::of(
        "verbose",
        "verbose",
        Kind::Boolean,
        "Verbose mode. Multiple -v flags can be stacked on the command line (e.g., -vvv) to increase verbosity.",
    )
    .letter('v'),
    OptionSpec::of(
        "verbose_level",
        "verbose-level",
        Kind::Integer(0, 9),
        "Level of detail in output; the number of -v, or 1 with verbose=1",
    ),
    OptionSpec::text(
        "debug_file",
        "debug-file",
        "Write debug information to given file",
    )
    .letter('D')
    .formerly(&["debug"]),
    OptionSpec::of(
        "version",
        "version",
        Kind::Boolean,
        "Display version information and exit",
    )
    .letter('V'),
    OptionSpec::of("help", "help", Kind::Boolean, "Display help and exit").letter('h'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_agent_has_two_options_of_one_name_or_letter() {
        for agent in AGENTS {
            let mut seen = std::collections::HashSet::new();
            for spec in agent.options() {
                for name in spec.old_names.iter().chain([&spec.name]) {
                    assert!(seen.insert((*name).to_owned()), "{}: {name}", agent.name);
                }
                let letter = spec.short.map(|c| format!("-{c}"));
                assert!(
                    letter.is_none_or(|c| seen.insert(c)),
                    "{}: {}",
                    agent.name,
                    spec.name
                );
            }
        }
    }

    #[test]
    fn the_standard_options_are_there() {
        for agent in AGENTS {
            let options = agent.options();
            for name in [
                "action",
                "delay",
                "verbose",
                "quiet",
                "debug_file",
                "version",
                "help",
            ] {
                assert!(
                    options.iter().any(|spec| spec.name == name),
                    "{}: {name}",
                    agent.name
                );
            }
        }
    }
}
