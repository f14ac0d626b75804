//! `fencekit sim` through the built program: another `fencekit` fences what it simulates.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod command_common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use command_common::{File, code, fencekit, file, json, run, stderr, stdout};
use serde_json::Value;

/// A running `fencekit sim`, stopped at the end of its test.
struct Sim {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Sim {
    fn start(file: &File, args: &[&str]) -> Self {
        let mut child = fencekit(&["sim"])
            .arg("-c")
            .arg(&file.path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn tell(&mut self, line: &str) -> Value {
        writeln!(self.stdin, "{line}").unwrap();
        self.line()
    }

    fn stop(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same nodes at the ports where the simulated devices listen.
fn at_ports(announced: &[Value], rest: &str) -> File {
    let mut text = "stonith_nodes:\n".to_owned();
    for line in announced {
        let (node, method, port) = (&line["node"], &line["method"], &line["port"]);
        let (address, plug) = (&line["address"], &line["plug"]);
        text.push_str(&format!(
            "  {node}: {{method: {method}, ip: {address}, port: {port}, plug: {plug}, power_timeout: 2{rest}}}\n"
        ));
    }
    file(&text)
}

#[test]
fn what_it_announces_can_be_fenced_and_made_to_fail() {
    let written = file(
        "stonith_nodes:
  storage-a: {method: kasa, ip: 127.0.0.1, port: 0, plug: 1}
  storage-b: {method: kasa, ip: 127.0.0.1, port: 0, plug: 2}
",
    );
    let mut sim = Sim::start(&written, &[]);
    let announced = [sim.line(), sim.line()];
    assert_eq!(announced[0]["node"], "storage-a");
    assert_eq!(announced[0]["method"], "kasa");
    assert_eq!(announced[0]["transport"], "xor");
    assert_eq!(announced[0]["address"], "127.0.0.1");
    assert_eq!(
        announced[0]["port"], announced[1]["port"],
        "two plugs of one strip"
    );
    let file = at_ports(&announced, ", off_max_watts: 5");

    assert_eq!(code(&run(&file, &["off", "storage-b"])), 0);
    let state = sim.tell("storage-b state");
    assert_eq!(
        (&state["devices"][0]["relay"], &state["devices"][0]["outlet"]),
        (&"off".into(), &2.into())
    );
    assert_eq!(sim.tell("storage-a")["devices"][0]["relay"], "on");

    assert_eq!(
        sim.tell("storage-b on")["devices"][0]["relay"],
        "on",
        "the button"
    );
    let set = sim.tell("{\"node\": \"storage-b\", \"faults\": [\"lie\", \"slow=0.01\"]}");
    assert_eq!(
        set["devices"][0]["faults"],
        serde_json::json!(["slow=0.01", "lie"])
    );
    let lied = run(&file, &["off", "storage-b", "--json"]);
    assert_eq!(code(&lied), 1, "{}", stdout(&lied));
    assert_eq!(
        sim.tell("storage-b none")["devices"][0]["faults"],
        serde_json::json!([])
    );
    assert_eq!(code(&run(&file, &["off", "storage-b"])), 0);
    assert_eq!(sim.tell("storage-c lie")["ok"], false);
    assert_eq!(sim.tell("list")["devices"].as_array().unwrap().len(), 2);
    assert_eq!(sim.stop(rustix::process::Signal::TERM), Some(0));
}

#[test]
fn it_goes_on_when_stdin_ends_and_takes_orders_on_a_socket() {
    let written = file("stonith_nodes: {b: {method: kasa, ip: 10.20.20.202}}\n");
    let socket = written.directory.path().join("control");
    let mut sim = Sim::start(&written, &["--loopback", "--control", socket.to_str().unwrap()]);
    let announced = sim.line();
    assert_eq!(announced["address"], "127.1.0.1");
    assert_eq!(sim.tell("b")["ok"], true);
    drop(std::mem::replace(&mut sim.stdin, fencekit_stdin()));

    let mut control = UnixStream::connect(&socket).unwrap();
    control.write_all(b"b stuck\n\nb\n").unwrap();
    let mut answers = BufReader::new(control.try_clone().unwrap()).lines();
    let mut answer = || serde_json::from_str::<Value>(&answers.next().unwrap().unwrap()).unwrap();
    assert_eq!(answer()["devices"][0]["faults"], serde_json::json!(["stuck"]));
    assert_eq!(answer()["devices"][0]["reported"], "on");
    let file = at_ports(&[announced], "");
    assert_eq!(code(&run(&file, &["off", "b"])), 1);
    assert_eq!(
        json(&run(&file, &["status", "--json"]))["nodes"][0]["power"],
        "on"
    );
    assert_eq!(sim.stop(rustix::process::Signal::INT), Some(0));
    assert!(!socket.exists());
}

/// A pipe to put in place of one that is to be closed.
fn fencekit_stdin() -> ChildStdin {
    let mut child = fencekit(&["--version"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().unwrap();
    stdin
}

#[test]
fn a_place_that_cannot_be_had_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind(command_common::ANY).unwrap();
    let port = taken.local_addr().unwrap().port();
    for (place, says) in [
        (
            format!("ip: 127.0.0.1, port: {port}"),
            "something listens there already",
        ),
        (
            "ip: 192.0.2.1, port: 4000".to_owned(),
            "give the address to an interface",
        ),
    ] {
        let file = file(&format!("stonith_nodes: {{b: {{method: kasa, {place}}}}}\n"));
        let output = run(&file, &["sim"]);
        assert_eq!(code(&output), 1);
        assert!(
            stderr(&output).contains("b: cannot listen at ") && stderr(&output).contains(says),
            "{}",
            stderr(&output)
        );
    }
}

/// Everything that a cluster file can say is played, and fenced by what reads the same file.
#[test]
fn every_method_is_simulated_as_the_file_has_it() {
    let written = file(
        "stonith_nodes:
  bmc: {method: ipmi, ip: 127.0.0.1, port: 0, user: admin, password: sesame1, identity: 44454c4c-0010-4b30-8035-b7c04f4d3132}
  kasa: {method: kasa, ip: 127.0.0.1, port: 0, identity: \"50:c7:bf:00:00:77\"}
  tapo: {method: kasa, ip: 127.0.0.1, port: 0, user: me@example.org, password: sesame2}
  aes: {method: kasa, ip: 127.0.0.1, port: 0, transport: aes, user: me@example.org, password: sesame2}
  tpap: {method: kasa, ip: 127.0.0.1, port: 0, transport: tpap, user: me@example.org, password: sesame2}
  native: {method: esphome, ip: 127.0.0.1, port: 0, switch_name: Rack Relay, encryption_key: \"QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=\"}
  relay-1: {method: tasmota, ip: 127.0.0.1, port: 0, password: sesame3, plug: 1}
  relay-2: {method: tasmota, ip: 127.0.0.1, port: 0, password: sesame3, plug: 2}
  web: {method: esphome, ip: 127.0.0.1, port: 0, switch_name: Rack Relay, user: admin, password: sesame4}
  http: {method: http, ip: 127.0.0.1, port: 0, power_on_url: /on, power_off_url: /off?now=1, status_url: /state, status_on_regex: ON, status_off_regex: OFF}
",
    );
    let mut sim = Sim::start(&written, &[]);
    let mut text = std::fs::read_to_string(&written.path).unwrap();
    for _ in 0..10 {
        let line = sim.line();
        let (node, port) = (line["node"].as_str().unwrap(), line["port"].as_u64().unwrap());
        let entry = format!("  {node}: {{");
        let start = text.find(&entry).unwrap();
        let rest = text.split_off(start);
        text.push_str(&rest.replacen("port: 0", &format!("port: {port}"), 1));
    }
    let at_ports = file(&text);
    let document = json(&run(&at_ports, &["status", "--json"]));
    for node in document["nodes"].as_array().unwrap() {
        assert_eq!(node["power"], "on", "{node}");
        let name = node["node"].as_str().unwrap();
        let off = run(&at_ports, &["off", name]);
        assert_eq!(code(&off), 0, "{}{}", stdout(&off), stderr(&off));
        let behind = sim.tell(name);
        assert_eq!(behind["devices"][0]["relay"], "off", "{behind}");
    }
    let sesame = file(&text.replace("sesame", "simsim"));
    let document = json(&run(&sesame, &["status", "--json"]));
    for node in document["nodes"].as_array().unwrap() {
        let has_password = !matches!(node["node"].as_str().unwrap(), "kasa" | "http" | "native");
        let expected = if has_password { "unknown" } else { "off" };
        assert_eq!(node["power"], expected, "{node}");
    }
}

/// On an address of its own, so that the standard port is free whatever runs beside this test.
#[test]
fn a_simulated_plug_is_found_and_its_entry_is_a_good_one() {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.77.{high}.{}", low.clamp(1, 254));
    let written = file(&format!(
        "stonith_nodes: {{b: {{method: kasa, ip: {address}}}}}\n"
    ));
    let mut sim = Sim::start(&written, &[]);
    assert_eq!(sim.line()["port"], 9999);
    let output = fencekit(&["discover", "--wait", "0.3", "--json", &address])
        .output()
        .unwrap();
    let found = &json(&output)["devices"];
    assert_eq!(
        (code(&output), found.as_array().unwrap().len()),
        (0, 1),
        "{found}"
    );
    assert_eq!(
        (&found[0]["method"], &found[0]["transport"]),
        (&"kasa".into(), &"xor".into())
    );
    let firmware = found[0]["identity"]["firmware"].as_str().unwrap();
    let entry = file(&serde_json::json!({"stonith_nodes": {"b": found[0]["entry"]}}).to_string());
    assert_eq!(code(&run(&entry, &["off", "b"])), 0);
    let table = fencekit(&["discover", "--wait", "0.3", &address])
        .output()
        .unwrap();
    assert!(
        stdout(&table)
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("kasa    127.77."),
        "{}",
        stdout(&table)
    );
    assert!(stdout(&table).contains(firmware), "{}", stdout(&table));

    sim.tell("b silent");
    let nobody = fencekit(&["discover", "--wait", "0.3", &address])
        .output()
        .unwrap();
    assert_eq!(code(&nobody), 0);
    assert!(stdout(&nobody).is_empty() && stderr(&nobody).contains("nobody answered"));
}
