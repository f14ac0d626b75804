//! The passwords and keys of the devices: those that the cluster file has, and new ones for the rest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::generate::File;

/// What goes into `secrets.yaml`.
pub(super) struct Secrets<'a> {
    values: BTreeMap<String, Zeroizing<String>>,
    random: &'a mut dyn FnMut(&mut [u8]) -> Result<()>,
}

impl<'a> Secrets<'a> {
    pub(super) fn new(random: &'a mut dyn FnMut(&mut [u8]) -> Result<()>) -> Self {
        Self {
            values: BTreeMap::new(),
            random,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values
            .insert(name.to_owned(), Zeroizing::new(value.to_owned()));
    }

    /// A new password under this name, which is given back.
    pub(super) fn fresh(&mut self, name: &str) -> Result<String> {
        let mut bytes = Zeroizing::new([0u8; 16]);
        (self.random)(bytes.as_mut_slice())?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.set(name, &hex);
        Ok(name.to_owned())
    }

    pub(super) fn fresh_key(&mut self, name: &str) -> Result<()> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        (self.random)(bytes.as_mut_slice())?;
        self.set(name, &STANDARD.encode(bytes.as_slice()));
        Ok(())
    }

    pub(super) fn finish(self) -> File {
        let mut text =
            "# Secrets of the ESPHome devices: for their owner alone (chmod 600), and in no repository.\n\
                        wifi_ssid: \"change me\"\nwifi_password: \"change me\"\n"
                .to_owned();
        for (name, value) in &self.values {
            text.push_str(&format!("{name}: {}\n", serde_json::Value::from(value.as_str())));
        }
        File {
            name: "secrets.yaml".to_owned(),
            text,
            secret: true,
        }
    }
}
