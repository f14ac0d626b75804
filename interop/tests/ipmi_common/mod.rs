//! BMCs of others: OpenIPMI's `ipmi_sim` and pyghmi's `fakebmc`.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "the functions of a test, too, may fail it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fencekit::{Deadline, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Settings};
use fencekit_interop::{Peer, free_udp_port, tool, venv_bin};
use tempfile::TempDir;

pub(crate) const USER: &str = "ADMIN";
pub(crate) const PASSWORD: &str = "s3cret-Pa55";

/// A BMC of others, and how to log in.
pub(crate) struct Bmc {
    pub(crate) peer: Peer,
    pub(crate) port: u16,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// What to set `cipher` to.
    pub(crate) cipher: &'static str,
    _dir: Option<TempDir>,
}

/// OpenIPMI's simulator, with a chassis that is on. Suites 0, 1, 2, 3 and 6.
pub(crate) fn ipmi_sim() -> Option<Bmc> {
    let program = tool("ipmi_sim")?;
    let dir = tempfile::tempdir().unwrap();
    let port = free_udp_port();
    let allowed: String = ["callback", "user", "operator", "admin"]
        .iter()
        .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
        .collect();
    let lan = format!(
        "name \"fencebmc\"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n    priv_limit admin\n{allowed}\
         \x20   guid a123456789abcdefa123456789abcdef\n  endlan\n  chassis_control \"./chassis.sh\"\n\
         \x20 user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 md2 md5 straight\n"
    );
    let emulator = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n\
                    sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
    let chassis = "#!/bin/sh\nop=$1; shift\nwhile [ $# -gt 0 ]; do\n  case \"$op $1\" in\n  'get power') echo \"power:$(cat power)\";;\n  \
                   'set power') echo \"$2\" > power; shift;;\n  esac\n  shift\ndone\nexit 0\n";
    write(dir.path(), "lan.conf", &lan);
    write(dir.path(), "sim.emu", emulator);
    write(dir.path(), "chassis.sh", chassis);
    write(dir.path(), "power", "1\n");
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::set_permissions(dir.path().join("chassis.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command
        .args(["-c", "lan.conf", "-f", "sim.emu", "-s", "state", "-n", "-d"])
        .current_dir(dir.path());
    Some(Bmc {
        peer: Peer::start("ipmi_sim", &mut command),
        port,
        user: USER,
        password: PASSWORD,
        cipher: "auto",
        _dir: Some(dir),
    })
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).unwrap();
}

/// pyghmi's fake BMC: suite 3, off at first, three bytes of chassis status.
pub(crate) fn fakebmc() -> Option<Bmc> {
    let program = venv_bin("fakebmc")?;
    let port = free_udp_port();
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string()])
        .env("PYTHONUNBUFFERED", "1");
    Some(Bmc {
        peer: Peer::start("fakebmc", &mut command),
        port,
        user: "admin",
        password: "password",
        cipher: "3",
        _dir: None,
    })
}

impl Bmc {
    /// Our backend for it; later options replace earlier ones.
    pub(crate) fn device(&self, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
        let mut settings = Settings::new(Method::Ipmi);
        let port = self.port.to_string();
        let usual = [
            ("ip", "127.0.0.1"),
            ("ipport", port.as_str()),
            ("username", self.user),
            ("password", self.password),
            ("cipher", self.cipher),
        ];
        for (name, value) in usual.iter().chain(options) {
            settings.set(name, value).unwrap();
        }
        Method::Ipmi.device(&settings).unwrap()
    }

    /// Waits until it answers; what it says then.
    pub(crate) async fn ready(&self) -> Observation {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let device = self.device(&[]);
            match device.status(&Policy::default(), soon()).await {
                Ok(seen) => return seen.observation,
                Err(error) => assert!(Instant::now() < until, "{error}\n{}", self.peer.said()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}
