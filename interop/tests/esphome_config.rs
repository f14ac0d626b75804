//! The generated firmware configuration, read by ESPHome itself.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use fencekit::cluster::Cluster;
use fencekit::generate::esphome::firmware;
use fencekit_interop::{ESPHOME_KEY, esphome_bin, required, run};

#[test]
fn esphome_accepts_every_generated_file() {
    let esphome = required!(esphome_bin());
    let text = format!(
        "stonith_nodes:\n\
         \x20 storage-a: {{method: esphome, ip: 10.0.0.2, switch_name: Relay, encryption_key: \"{ESPHOME_KEY}\"}}\n\
         \x20 storage-b: {{method: esphome, ip: 10.0.0.3, switch_name: Relay, off_max_watts: 5}}\n\
         \x20 left: {{method: esphome, ip: 10.0.0.4, switch_name: Left}}\n\
         \x20 right: {{method: esphome, ip: 10.0.0.4, switch_name: Rack B/Relay}}\n"
    );
    let cluster = Cluster::from_text(&text, "test.yml").unwrap();
    let made = firmware(&cluster, &mut |bytes| {
        bytes.fill(7);
        Ok(())
    })
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    for file in &made.files {
        fs::write(place.path().join(&file.name), &file.text).unwrap();
    }
    let devices: Vec<_> = made.files.iter().filter(|file| !file.secret).collect();
    assert_eq!(devices.len(), 3);
    for file in devices {
        let mut command = Command::new(&esphome);
        command
            .current_dir(place.path())
            .env("HOME", place.path())
            .args(["config", &file.name]);
        let output = run(&mut command, "", Duration::from_secs(60));
        assert!(output.ok(), "{}: {output}", file.name);
    }
}
