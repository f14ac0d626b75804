//! The options that devices share.

use super::{Kind, OptionSpec};

/// How long a device may take to let somebody in.
pub const LOGIN_TIMEOUT: OptionSpec = OptionSpec::of(
    "login_timeout",
    "login-timeout",
    Kind::Seconds,
    "Wait X seconds for login",
)
.or("5");

/// How long a device may take to answer.
pub const SHELL_TIMEOUT: OptionSpec = OptionSpec::of(
    "shell_timeout",
    "shell-timeout",
    Kind::Seconds,
    "Wait X seconds for an answer of the device",
)
.or("3");

/// Options that every device takes.
pub const COMMON: &[OptionSpec] = &[
    OptionSpec::text("ip", "ip", "IP address or hostname of fencing device")
        .letter('a')
        .formerly(&["ipaddr"])
        .must(),
    OptionSpec::of(
        "ipport",
        "ipport",
        Kind::Integer(1, 65535),
        "TCP/UDP port to use for connection with device",
    )
    .letter('u'),
    OptionSpec::text("username", "username", "Login name")
        .letter('l')
        .formerly(&["login"]),
    OptionSpec::of(
        "password",
        "password",
        Kind::Secret,
        "Login password or passphrase",
    )
    .letter('p')
    .formerly(&["passwd"]),
    OptionSpec::text(
        "password_script",
        "password-script",
        "Script to run to retrieve password",
    )
    .letter('S')
    .formerly(&["passwd_script"]),
    OptionSpec::text(
        "password_file",
        "password-file",
        "File that holds the password, readable by root alone",
    ),
    OptionSpec::text(
        "plug",
        "plug",
        "Physical plug number on device, UUID or identification of machine",
    )
    .letter('n')
    .formerly(&["port"]),
    OptionSpec::of(
        "inet4_only",
        "inet4-only",
        Kind::Boolean,
        "Forces agent to use IPv4 addresses only",
    )
    .letter('4'),
    OptionSpec::of(
        "inet6_only",
        "inet6-only",
        Kind::Boolean,
        "Forces agent to use IPv6 addresses only",
    )
    .letter('6'),
    LOGIN_TIMEOUT,
    SHELL_TIMEOUT,
    OptionSpec::of(
        "power_timeout",
        "power-timeout",
        Kind::Seconds,
        "Test X seconds for status change after ON/OFF",
    )
    .or("20"),
    OptionSpec::of(
        "power_wait",
        "power-wait",
        Kind::Seconds,
        "Wait X seconds after issuing ON/OFF",
    )
    .or("0"),
    OptionSpec::of(
        "stonith_status_sleep",
        "stonith-status-sleep",
        Kind::Seconds,
        "Sleep X seconds between status calls during a STONITH action",
    )
    .or("1"),
    OptionSpec::of(
        "retry_on",
        "retry-on",
        Kind::Integer(1, 100),
        "Count of attempts to retry power on",
    )
    .or("1"),
    OptionSpec::text(
        "expect_identity",
        "expect-identity",
        "MAC, device id, BMC GUID or name that the device must report; another device is never switched",
    ),
    OptionSpec::of(
        "off_max_watts",
        "off-max-watts",
        Kind::Number,
        "After OFF the device's meter must read at most X watts; needs a metered device",
    ),
    OptionSpec::of(
        "confirm_reads",
        "confirm-reads",
        Kind::Integer(1, 20),
        "Count of readings in a row that must show the new state",
    )
    .or("1"),
];

/// TLS with a verified certificate.
pub const SSL: OptionSpec = OptionSpec::of(
    "ssl",
    "ssl",
    Kind::Boolean,
    "Use SSL connection with verifying certificate",
)
.letter('z');

/// The same, by another name of fence-agents.
pub const SSL_SECURE: OptionSpec = OptionSpec::of(
    "ssl_secure",
    "ssl-secure",
    Kind::Boolean,
    "Use SSL connection with verifying certificate",
);

/// TLS with whatever certificate.
pub const SSL_INSECURE: OptionSpec = OptionSpec::of(
    "ssl_insecure",
    "ssl-insecure",
    Kind::Boolean,
    "Use SSL connection without verifying certificate",
);

/// Options of devices that are reached over HTTP.
pub const TLS: &[OptionSpec] = &[SSL, SSL_SECURE, SSL_INSECURE];
