//! The options of `fence_check`, and what those about the device mean there.

use fencekit::options::{self, Kind, OptionSpec};

/// The options, but for those that every agent has.
pub(in crate::agent) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::of(
        "fence_method",
        "fence-method",
        Kind::Choice(&["ipmi", "kasa", "tasmota", "esphome", "http"]),
        "Method of the device that fences the node",
    ),
    OptionSpec::text(
        "fence_ip",
        "fence-ip",
        "IP address or hostname of the device that fences the node",
    ),
    OptionSpec::of(
        "fence_port",
        "fence-port",
        Kind::Integer(1, 65535),
        "TCP/UDP port to use for connection with that device",
    ),
    OptionSpec::text("fence_user", "fence-user", "Login name at that device"),
    OptionSpec::of(
        "fence_pass",
        "fence-pass",
        Kind::Secret,
        "Login password or passphrase at that device",
    ),
    OptionSpec::text(
        "password_file",
        "password-file",
        "File that holds that password, readable by root alone",
    ),
    OptionSpec::text(
        "password_script",
        "password-script",
        "Script to run to retrieve that password",
    ),
    OptionSpec::text(
        "fence_plug",
        "fence-plug",
        "Outlet of that device that feeds the node",
    ),
    OptionSpec::text(
        "switch_name",
        "switch-name",
        "Name of the switch, for method esphome",
    ),
    OptionSpec::of(
        "encryption_key",
        "encryption-key",
        Kind::Secret,
        "Key of the native API, for method esphome",
    ),
    OptionSpec::text(
        "transport",
        "transport",
        "Transport, for methods kasa and esphome",
    ),
    OptionSpec::text("cipher", "cipher", "Cipher suite, for method ipmi"),
    OptionSpec::text("privlvl", "privlvl", "Privilege level, for method ipmi"),
    OptionSpec::of(
        "hexadecimal_kg",
        "hexadecimal-kg",
        Kind::Secret,
        "BMC key, for method ipmi",
    ),
    OptionSpec::text(
        "status_url",
        "status-url",
        "URL whose reply shows the outlet's state, for method http",
    ),
    OptionSpec::text(
        "status_on_regex",
        "status-on-regex",
        "Regular expression that matches that reply only while the outlet is on",
    ),
    OptionSpec::text(
        "status_off_regex",
        "status-off-regex",
        "Regular expression that matches that reply only while the outlet is off",
    ),
    options::SSL,
    options::SSL_SECURE,
    options::SSL_INSECURE,
    OptionSpec::text(
        "target_mgmt_ip",
        "target-mgmt-ip",
        "Address of the node on the management network",
    ),
    OptionSpec::text(
        "target_storage_ip",
        "target-storage-ip",
        "Address of the node on the storage network",
    ),
    OptionSpec::text(
        "target_client_ips",
        "target-client-ips",
        "Addresses of the node on client networks, with commas between them",
    ),
    OptionSpec::text(
        "target_tcp_ports",
        "target-tcp-ports",
        "TCP ports that the node answers on while it is alive, with commas between them",
    ),
    OptionSpec::text(
        "witness_mgmt_ip",
        "witness-mgmt-ip",
        "Another host that answers on the management network, or several with commas between them",
    ),
    OptionSpec::text(
        "witness_storage_ip",
        "witness-storage-ip",
        "Another host that answers on the storage network, or several with commas between them",
    ),
    OptionSpec::text(
        "witness_client_ips",
        "witness-client-ips",
        "Other hosts that answer on the client networks, with commas between them",
    ),
    OptionSpec::of(
        "require_witness",
        "require-witness",
        Kind::Boolean,
        "A network without a witness proves nothing",
    ),
    OptionSpec::of(
        "verify_wait",
        "verify-wait",
        Kind::Seconds,
        "Watch the node for X seconds; any sign of life within them fails the fence",
    )
    .or("10"),
    OptionSpec::of(
        "off_max_watts",
        "off-max-watts",
        Kind::Number,
        "The device's meter must read at most X watts; needs a metered device",
    ),
    OptionSpec::text(
        "expect_identity",
        "expect-identity",
        "MAC, device id, BMC GUID or name that the device must report",
    ),
    OptionSpec::text(
        "config",
        "config",
        "Cluster file; the node is named by plug, and everything about it is taken from there",
    ),
    OptionSpec::text("plug", "plug", "The node that is verified")
        .letter('n')
        .formerly(&["port"]),
    options::LOGIN_TIMEOUT,
    options::SHELL_TIMEOUT,
];

/// Device options by their names here and at the device.
pub(super) const OF_DEVICE: &[(&str, &str)] = &[
    ("fence_ip", "ip"),
    ("fence_port", "ipport"),
    ("fence_user", "username"),
    ("fence_pass", "password"),
    ("password_file", "password_file"),
    ("password_script", "password_script"),
    ("fence_plug", "plug"),
    ("switch_name", "switch_name"),
    ("encryption_key", "encryption_key"),
    ("transport", "transport"),
    ("cipher", "cipher"),
    ("privlvl", "privlvl"),
    ("hexadecimal_kg", "hexadecimal_kg"),
    ("status_url", "status_url"),
    ("status_on_regex", "status_on_regex"),
    ("status_off_regex", "status_off_regex"),
    ("ssl", "ssl"),
    ("ssl_secure", "ssl_secure"),
    ("ssl_insecure", "ssl_insecure"),
    ("off_max_watts", "off_max_watts"),
    ("expect_identity", "expect_identity"),
    ("login_timeout", "login_timeout"),
    ("shell_timeout", "shell_timeout"),
];
