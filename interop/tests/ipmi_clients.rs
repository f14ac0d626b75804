//! Clients that others wrote against our simulated BMC: what they accept, a backend may rely on.
#![allow(clippy::unwrap_used, reason = "the functions of a test, too, may fail it")]

use std::process::Command;
use std::time::Duration;

use fencekit_interop::{Output, required, run, tool};
use fencekit_sim::ipmi::{BmcSpec, Forgery, serve};
use fencekit_sim::{Device, Running, Spec};

const USER: &str = "fencer";
const PASSWORD: &str = "correct-horse-batt";
const LIMIT: Duration = Duration::from_secs(30);

async fn bmc(spec: BmcSpec) -> Running {
    let device = Device::new(Spec::plug("storage-a").credentials(USER, PASSWORD));
    serve(device, "127.0.0.1:0".parse().unwrap(), spec).await.unwrap()
}

fn ipmitool(program: &std::path::Path, running: &Running, cipher: &str, words: &str) -> Output {
    let mut command = Command::new(program);
    command
        .args([
            "-I",
            "lanplus",
            "-H",
            "127.0.0.1",
            "-U",
            USER,
            "-E",
            "-N",
            "1",
            "-R",
            "2",
        ])
        .args(["-C", cipher, "-p", &running.address.port().to_string()])
        .args(words.split(' '))
        .env("IPMI_PASSWORD", PASSWORD);
    run(&mut command, "", LIMIT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipmitool_with_both_suites() {
    let program = required!(tool("ipmitool"));
    for cipher in ["3", "17"] {
        let running = bmc(BmcSpec::default()).await;
        let ask = |words: &str| {
            let out = ipmitool(&program, &running, cipher, words);
            assert!(out.ok(), "{words}: {out}");
            out.stdout
        };
        assert!(ask("chassis power status").contains("Chassis Power is on"));
        ask("-L operator chassis power off");
        assert_eq!(running.device.relay(0), Some(false));
        assert!(ask("chassis power status").contains("Chassis Power is off"));
        ask("chassis power on");
        assert_eq!(running.device.relay(0), Some(true));
        assert!(ask("dcmi power reading").contains("60 Watts"));
        assert!(ask("mc info").contains("IPMI Version              : 2.0"));
        ask("chassis power cycle");
        assert_eq!(running.device.commands(), [(0, false), (0, true), (0, false)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipmitool_believes_no_forgery_and_no_wrong_key() {
    let program = required!(tool("ipmitool"));
    let specs = [
        BmcSpec {
            forgery: Forgery::Rakp2,
            ..BmcSpec::default()
        },
        BmcSpec {
            forgery: Forgery::Rakp4,
            ..BmcSpec::default()
        },
        BmcSpec {
            kg: Some(b"a key that is not given".to_vec()),
            ..BmcSpec::default()
        },
    ];
    for spec in specs {
        let running = bmc(spec).await;
        let out = ipmitool(&program, &running, "17", "chassis power status");
        assert!(!out.ok(), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipmitool_with_kg() {
    let program = required!(tool("ipmitool"));
    let running = bmc(BmcSpec {
        kg: Some(b"0123456789abcdefghij".to_vec()),
        ..BmcSpec::default()
    })
    .await;
    for cipher in ["3", "17"] {
        let words = "-y 303132333435363738396162636465666768696a chassis power status";
        let out = ipmitool(&program, &running, cipher, words);
        assert!(out.stdout.contains("Chassis Power is on"), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipmipower_with_both_suites() {
    let program = required!(tool("ipmipower"));
    for suite in ["3", "17"] {
        let running = bmc(BmcSpec::default()).await;
        let ask = |action: &str| {
            let host = format!("127.0.0.1:{}", running.address.port());
            let config = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(config.path(), format!("username {USER}\npassword {PASSWORD}\n")).unwrap();
            let mut command = Command::new(&program);
            command
                .args(["-D", "LAN_2_0", "-I", suite, "-h", &host, action])
                .args(["--config-file", &config.path().to_string_lossy()]);
            let out = run(&mut command, "", LIMIT);
            assert!(out.ok(), "{action}: {out}");
            out.stdout
        };
        assert!(ask("--stat").contains(": on"));
        assert!(ask("--off").contains(": ok"));
        assert_eq!(running.device.relay(0), Some(false));
        assert!(ask("--stat").contains(": off"));
        assert!(ask("--on").contains(": ok"));
        assert_eq!(running.device.relay(0), Some(true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fence_ipmilan_with_both_suites() {
    let program = required!(tool("fence_ipmilan"));
    required!(tool("ipmitool"));
    for cipher in ["3", "17"] {
        let running = bmc(BmcSpec::default()).await;
        let ask = |action: &str| {
            let options = format!(
                "action={action}\nip=127.0.0.1\nipport={}\nusername={USER}\npassword={PASSWORD}\nlanplus=1\n\
                 cipher={cipher}\npower_wait=0\nprivlvl=operator\n",
                running.address.port()
            );
            run(&mut Command::new(&program), &options, LIMIT)
        };
        assert_eq!(ask("status").code, Some(0));
        let off = ask("off");
        assert!(off.ok(), "{off}");
        assert_eq!(running.device.relay(0), Some(false));
        assert_eq!(ask("status").code, Some(2));
        let on = ask("on");
        assert!(on.ok(), "{on}");
        assert_eq!(running.device.relay(0), Some(true));
    }
}
