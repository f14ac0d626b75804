//! Clients that others wrote, curl and tasmota-http, against the simulated Tasmota: what they make of its replies is
//! what they make of a real one's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end in a panic")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{python, required, run, tool, workspace};
use fencekit_sim::tasmota::Tasmota;
use fencekit_sim::{Device, Running, Spec};
use serde_json::{Value, json};

async fn tasmota(spec: Spec) -> (Tasmota, Running) {
    let tasmota = Tasmota::new(Device::new(spec));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let running = tasmota.clone().serve(address).await.unwrap();
    (tasmota, running)
}

/// HTTP status and body of a command, by curl.
fn curl(program: &Path, at: &Running, arguments: &[&str], command: &str) -> (String, String) {
    let output = run(
        Command::new(program)
            .args([
                "--silent",
                "--max-time",
                "10",
                "--noproxy",
                "*",
                "--write-out",
                "\n%{http_code}",
                "--get",
            ])
            .args(["--data-urlencode", &format!("cmnd={command}")])
            .args(arguments)
            .arg(format!("http://{}/cm", at.address)),
        "",
        Duration::from_secs(20),
    );
    let (body, status) = output
        .stdout
        .rsplit_once('\n')
        .unwrap_or_else(|| panic!("{output}"));
    (status.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_switches_and_reads_one_relay() {
    let program = required!(tool("curl"));
    let (_, plug) = tasmota(Spec::plug("plug-b")).await;
    let said = |command: &str| curl(&program, &plug, &[], command);
    assert_eq!(said("Power"), ("200".into(), r#"{"POWER":"ON"}"#.into()));
    assert_eq!(said("Power OFF").1, r#"{"POWER":"OFF"}"#);
    assert_eq!(plug.device.relay(0), Some(false));
    // A wrong payload is silently a question.
    assert_eq!(said("Power ONN").1, r#"{"POWER":"OFF"}"#);
    assert_eq!(said("Power1 1").1, r#"{"POWER":"ON"}"#);
    assert_eq!(said("Power2 OFF").1, r#"{"Command":"Error"}"#);
    assert_eq!(said("Powder OFF").1, r#"{"Command":"Unknown"}"#);
    assert_eq!(said("StateText1").1, r#"{"StateText1":"OFF"}"#);
    let status: Value = serde_json::from_str(&said("Status 0").1).unwrap();
    assert_eq!(status["StatusSTS"]["POWER"], "ON");
    assert_eq!(status["StatusNET"]["Mac"], "50:C7:BF:00:00:01");
    assert_eq!(status["StatusSNS"]["ENERGY"]["Power"], 60.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_meets_the_password_both_ways() {
    let program = required!(tool("curl"));
    let mut spec = Spec::plug("plug-b");
    spec.password = Some("a&b c".into());
    let (tasmota, plug) = tasmota(spec).await;
    let said = |arguments: &[&str]| curl(&program, &plug, arguments, "Power OFF");
    for wrong in [&[][..], &["--user", "admin:no"], &["--user", "root:a&b c"]] {
        let (status, body) = said(wrong);
        assert_eq!(status, "401");
        assert!(body.contains("WARNING") && body.contains("Need user="), "{body}");
    }
    assert_eq!(plug.device.relay(0), Some(true));
    assert_eq!(said(&["--user", "admin:a&b c"]).0, "200");
    let query = [
        "--data-urlencode",
        "user=admin",
        "--data-urlencode",
        "password=a&b c",
    ];
    assert_eq!(said(&query).0, "200");
    assert_eq!(plug.device.relay(0), Some(false));
    // Firmware 8.2 refused with status 200.
    tasmota.change(|settings| settings.refusal_status = 200);
    let (status, body) = said(&[]);
    assert!(status == "200" && body.contains("WARNING"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_no_answer_without_a_referer_when_the_web_api_is_off() {
    let program = required!(tool("curl"));
    let (_, plug) = tasmota(Spec::plug("plug-b")).await;
    let _ = curl(&program, &plug, &[], "SetOption128 0");
    assert_eq!(curl(&program, &plug, &[], "Power"), ("000".into(), String::new()));
    assert_eq!(
        curl(&program, &plug, &["--referer", "http://127.0.0.1/"], "Power").0,
        "200"
    );
}

/// What tasmota-http says, by the script beside this crate.
fn tasmota_http(python: &Path, at: &Running, arguments: &[&str]) -> Value {
    let script: PathBuf = workspace().join("interop/peers/tasmota_client.py");
    let output = run(
        Command::new(python)
            .arg(script)
            .arg(at.address.to_string())
            .args(arguments),
        "",
        Duration::from_secs(30),
    );
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasmota_http_drives_a_strip() {
    let python = required!(python());
    let (_, strip) = tasmota(Spec::plug("strip").outlets(3)).await;
    let said = tasmota_http(&python, &strip, &["-", "-", "2", "off"]);
    assert_eq!(said["switched"], json!({"POWER2": "OFF"}));
    assert_eq!(said["power"], json!({"POWER2": "OFF"}));
    assert_eq!(said["status"]["StatusSTS"]["POWER3"], "ON");
    assert_eq!(
        (strip.device.relay(0), strip.device.relay(1)),
        (Some(true), Some(false))
    );
    let said = tasmota_http(&python, &strip, &["-", "-", "2", "toggle"]);
    assert_eq!(said["switched"], json!({"POWER2": "ON"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasmota_http_logs_in() {
    let python = required!(python());
    let mut spec = Spec::plug("plug-b");
    spec.password = Some("a&b c".into());
    let (_, plug) = tasmota(spec).await;
    let wrong = tasmota_http(&python, &plug, &["admin", "no", "1", "off"]);
    assert!(
        wrong["error"].as_str().is_some_and(|error| error.contains("401")),
        "{wrong}"
    );
    assert_eq!(plug.device.relay(0), Some(true));
    let right = tasmota_http(&python, &plug, &["admin", "a&b c", "1", "off"]);
    assert_eq!(right["power"], json!({"POWER": "OFF"}));
}
