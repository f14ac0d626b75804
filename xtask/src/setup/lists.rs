//! Everything that the tests install, in one place.

/// A Debian package and what shows that it is there.
pub(crate) struct Debian {
    /// The package.
    pub(crate) package: &'static str,
    /// What shows that its content is there, whoever brought it.
    pub(crate) shown_by: ShownBy,
    /// Whether its tests want root, so that unpacking it without helps nobody.
    pub(crate) root: bool,
    /// Whether it is unpacked even by root, and without what it depends on: installed, it would start a daemon.
    pub(crate) only_unpacked: bool,
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
        only_unpacked: false,
    }
}

const fn only_unpacked(package: &'static str, program: &'static str) -> Debian {
    Debian {
        package,
        shown_by: ShownBy::Program(program),
        root: false,
        only_unpacked: true,
    }
}

const fn for_root(package: &'static str, shown_by: ShownBy) -> Debian {
    Debian {
        package,
        shown_by,
        root: true,
        only_unpacked: false,
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
        only_unpacked: false,
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
    // The judges of alert rules and metrics, and of units.
    program("systemd", "systemd-analyze"),
    only_unpacked("prometheus", "promtool"),
    // A real ESPHome device, compiled for this host.
    program("gcc", "gcc"),
    program("g++", "g++"),
    // C programs against the C library.
    program("binutils", "nm"),
    program("cmake", "cmake"),
    program("make", "make"),
    program("pkgconf", "pkg-config"),
    program("valgrind", "valgrind"),
    Debian {
        package: "libsodium-dev",
        shown_by: ShownBy::Library("libsodium.a"),
        root: true,
        only_unpacked: false,
    },
];

/// Versions of pcs besides the machine's own, and the Debian release that has each.
pub(crate) const PCS: &[(&str, &str)] = &[("0.10", "bullseye"), ("0.12", "trixie")];

/// What is unpacked of such a release: pcs, Pacemaker's tools that pcs starts, and what the generated script starts.
pub(crate) const PCS_PACKAGES: &[&str] = &[
    "pcs",
    "pacemaker",
    "pacemaker-cli-utils",
    "base-files",
    "bash",
    "coreutils",
    "grep",
    "libc-bin",
    "sed",
];

/// How the names of packages begin that these depend on for what no test does: pcs's daemon and its web pages,
/// resource agents, a running system.
pub(crate) const PCS_LEFT_OUT: &[&str] = &[
    "adduser",
    "cluster-glue",
    "corosync",
    "dbus",
    "debconf",
    "dpkg",
    "fonts-",
    "gawk",
    "libperl",
    "libruby",
    "libsnmp",
    "mawk",
    "pacemaker-resource-agents",
    "passwd",
    "pci.ids",
    "perl",
    "puma",
    "rake",
    "resource-agents",
    "ruby",
    "tar",
    "thin",
    "tzdata",
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

/// Ansible has a venv of its own; pytest runs the collection's unit tests in it.
pub(crate) const ANSIBLE: &[&str] = &["ansible-core==2.19.14", "ansible-lint==26.10.1", "pytest==9.2.0"];

/// The newest Python that this ansible-core knows.
pub(crate) const ANSIBLE_PYTHON: u32 = 13;

/// What builds our Python package and checks its types.
pub(crate) const PACKAGE: &[&str] = &["maturin==1.16.0", "mypy==2.4.1"];

/// What runs its tests, and what that needs on Python 3.9.
pub(crate) const PYTEST: &[&str] = &[
    "pytest==8.4.2",
    "exceptiongroup==1.3.0",
    "tomli==2.2.1",
    "typing-extensions==4.15.0",
];
