//! Everything that the tests install, in one place.

/// A Debian package and what shows that it is there.
pub(crate) struct Debian {
    /// The package.
    pub(crate) package: &'static str,
    /// What shows that its content is there, whoever brought it.
    pub(crate) shown_by: ShownBy,
    /// Whether its tests want root, so that unpacking it without helps nobody.
    pub(crate) root: bool,
}

/// What shows that a package's content is on the machine.
pub(crate) enum ShownBy {
    /// A program on PATH or in an sbin directory.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A file in a directory of this machine's architecture, `/usr/lib/x86_64-linux-gnu` for one.
    Library(&'static str),
    /// A Python that can make a venv.
    Venv,
}

const fn program(package: &'static str, program: &'static str) -> Debian {
    Debian {
        package,
        shown_by: ShownBy::Program(program),
        root: false,
    }
}

const fn for_root(package: &'static str, shown_by: ShownBy) -> Debian {
    Debian {
        package,
        shown_by,
        root: true,
    }
}

/// Debian packages.
pub(crate) const DEBIAN: &[Debian] = &[
    program("curl", "curl"),
    program("libxml2-utils", "xmllint"),
    program("shellcheck", "shellcheck"),
    Debian {
        package: "python3-venv",
        shown_by: ShownBy::Venv,
        root: true,
    },
    program("nodejs", "node"),
    program("npm", "npm"),
    // BMCs and their clients.
    program("openipmi", "ipmi_sim"),
    program("ipmitool", "ipmitool"),
    program("freeipmi-tools", "ipmi-power"),
    // The contract: metadata schema, agents to compare with, Pacemaker itself.
    for_root(
        "fence-agents",
        ShownBy::File("/usr/share/cluster/relaxng/metadata.rng"),
    ),
    for_root("pacemaker", ShownBy::File("/usr/lib/pacemaker/pacemaker-fenced")),
    for_root("pacemaker-cli-utils", ShownBy::Program("stonith_admin")),
    for_root("corosync", ShownBy::Program("corosync")),
    for_root("pcs", ShownBy::Program("pcs")),
    for_root("crmsh", ShownBy::Program("crm")),
    // Networks of their own.
    program("util-linux", "unshare"),
    program("iproute2", "ip"),
    program("iputils-ping", "ping"),
    program("nftables", "nft"),
    // A real ESPHome device, compiled for this host.
    program("gcc", "gcc"),
    program("g++", "g++"),
    Debian {
        package: "libsodium-dev",
        shown_by: ShownBy::Library("libsodium.a"),
        root: true,
    },
];

/// Python packages of the venv that the tests share.
pub(crate) const PYTHON: &[&str] = &[
    "python-kasa==0.12.0",
    "aioesphomeapi==46.23.0",
    "pyghmi==1.6.19",
    "tasmota-http==0.1.0",
];

/// ESPHome has a venv of its own: it pins other versions of what it shares with the rest.
pub(crate) const ESPHOME: &[&str] = &[
    "esphome==2026.10.0; python_version >= '3.12'",
    "esphome==2026.6.5; python_version < '3.12'",
];

/// npm packages, with their versions.
pub(crate) const NPM: &[(&str, &str)] = &[("tplink-smarthome-simulator", "5.0.1")];
