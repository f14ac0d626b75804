//! aioesphomeapi and curl, the clients of others, against the simulated ESPHome devices.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{ESPHOME_KEY, Output, python, required, run, tool, workspace};
use fencekit_sim::esphome::{Names, Scheme, WebFirmware, parse_key, serve_native, serve_web};
use fencekit_sim::{Device, Outlet, Running, Spec};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn spec() -> Spec {
    let mut spec = Spec::plug("Storage B power");
    spec.outlets = vec![
        Outlet::on("Relay"),
        Outlet::on("Second Outlet"),
        Outlet::on("Rack B/Relay"),
    ];
    spec
}

/// What aioesphomeapi sees, after it switched something or not.
fn client(python: &std::path::Path, sim: &Running, key: &str, switching: &[&str]) -> Output {
    let mut command = Command::new(python);
    command
        .arg(workspace().join("interop/peers/esphome_client.py"))
        .args(["127.0.0.1", &sim.address.port().to_string(), key])
        .args(switching);
    run(&mut command, "", LIMIT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn esphomes_own_client_drives_the_simulated_native_api() {
    let python = required!(python());
    for key in [ESPHOME_KEY, "-"] {
        let sim = serve_native(Device::new(spec()), loopback(), parse_key(key))
            .await
            .unwrap();
        for (switch, outlet) in [("Second Outlet", 1), ("Rack B/Relay", 2)] {
            let output = client(&python, &sim, key, &[switch, "off"]);
            assert!(output.ok(), "{output}");
            assert_eq!(sim.device.relay(outlet), Some(false));
        }
        let output = client(&python, &sim, key, &[]);
        let seen: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(
            seen["switches"],
            json!({"Relay": "on", "Second Outlet": "off", "Rack B/Relay": "off"})
        );
        assert_eq!(seen["device"]["mac"], "50:C7:BF:00:00:01");
        assert_eq!(seen["device"]["friendly_name"], "Storage B power");
        assert_eq!(seen["sensors"]["Power"], 60.0);
        assert_eq!(seen["sensors"]["Second Outlet Power"], 0.0);
        assert_eq!(sim.device.commands(), [(1, false), (2, false)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn esphomes_own_client_is_refused_with_a_wrong_key() {
    let python = required!(python());
    let sim = serve_native(Device::new(spec()), loopback(), parse_key(ESPHOME_KEY))
        .await
        .unwrap();
    for (key, error) in [
        (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "InvalidEncryptionKeyAPIError",
        ),
        ("-", "RequiresEncryptionAPIError"),
    ] {
        let output = client(&python, &sim, key, &["Relay", "off"]);
        assert!(
            output.code == Some(1) && output.stderr.contains(error),
            "{output}"
        );
    }
    assert!(sim.device.commands().is_empty());
}

/// Status and body of a request by curl.
fn curl(curl: &std::path::Path, sim: &Running, options: &[&str], path: &str) -> (String, String) {
    let mut command = Command::new(curl);
    command
        .args(["-sS", "-m", "5", "-w", "\n%{http_code}"])
        .args(options)
        .arg(format!("http://{}{path}", sim.address));
    let output = run(&mut command, "", LIMIT);
    let (body, status) = output.stdout.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_drives_the_simulated_web_server() {
    let program = required!(tool("curl"));
    for (login, scheme) in [
        (Scheme::Basic, "--basic"),
        (Scheme::Digest, "--digest"),
        (Scheme::DigestSha256, "--digest"),
    ] {
        let firmware = WebFirmware {
            names: Names::Both,
            login,
            ..WebFirmware::default()
        };
        let device = Device::new(spec().credentials("admin", "s3cret"));
        let sim = serve_web(device, loopback(), firmware).await.unwrap();
        let get = |options: &[&str], path: &str| curl(&program, &sim, options, path);
        let right = [scheme, "-u", "admin:s3cret"];
        assert_eq!(get(&[], "/switch/Relay").0, "401");
        assert_eq!(get(&[scheme, "-u", "admin:bad"], "/switch/Relay").0, "401");
        let (status, body) = get(&right, "/switch/Second%20Outlet");
        assert_eq!(
            (status.as_str(), body.contains("\"value\":true")),
            ("200", true),
            "{body}"
        );
        assert_eq!(get(&right, "/switch/nope").0, "404");
        assert_eq!(
            get(&right, "/switch/Relay/turn_off").0,
            "404",
            "a GET does not act"
        );

        let with = |more: &[&'static str]| [&right[..], more].concat();
        let no_length = with(&["-X", "POST"]);
        assert_eq!(get(&no_length, "/switch/Relay/turn_off").0, "411");
        let foreign = with(&["-d", "", "-H", "Origin: http://elsewhere.example"]);
        assert_eq!(get(&foreign, "/switch/Relay/turn_off").0, "500");
        assert!(sim.device.commands().is_empty());
        assert_eq!(
            get(&with(&["-d", ""]), "/switch/Relay/turn_off"),
            ("200".into(), String::new())
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sim.device.commands(), [(0, false)]);
        assert_eq!(sim.device.relay(0), Some(false));
    }
}
