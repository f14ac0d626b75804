//! ESPHome switches, over the REST API of `web_server:` or the native API of `api:`.

mod plug;
mod web;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use self::plug::Wanted;
use self::web::Web;
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Session};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::{Kind, OptionSpec, Settings};
use crate::transport::Endpoint;

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::text(
        "switch_name",
        "switch-name",
        "Name of the switch as ESPHome shows it, or its object id; the same as plug",
    ),
    OptionSpec::of(
        "transport",
        "transport",
        Kind::Choice(&["auto", "native", "web"]),
        "API to use: native (api:) or web (REST of web_server:); auto is native where it can be",
    )
    .or("auto"),
    OptionSpec::of(
        "encryption_key",
        "encryption-key",
        Kind::Secret,
        "Key of the native API, as in the device's api: encryption: key: (base64 of 32 bytes)",
    ),
    OptionSpec::text(
        "power_sensor",
        "power-sensor",
        "Name of the sensor that measures the outlet's power",
    )
    .or("Power"),
];

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let wanted = Wanted::from_settings(settings)?;
    let key = encryption_key(settings)?;
    let transport = settings.text("transport").unwrap_or("auto");
    if transport == "native" || key.is_some() {
        return Err(Error::unsupported(
            "the native API is not built yet; use transport=web",
        ));
    }
    let endpoint = Endpoint::from_settings(settings, web::PORT)?;
    Ok(Box::new(Esphome {
        label: Label {
            method: Method::Esphome,
            address: endpoint.shown(web::PORT),
            plug: wanted.text().map(str::to_owned),
        },
        web: Web::from_settings(settings, &wanted)?,
    }))
}

/// The key of the native API.
///
/// # Errors
/// [`Error::Config`] when it is not base64 of 32 bytes, or given for REST, which cannot use it.
fn encryption_key(settings: &Settings) -> Result<Option<Zeroizing<[u8; 32]>>> {
    let Some(text) = settings.secret("encryption_key") else {
        return Ok(None);
    };
    if settings.text("transport") == Some("web") {
        return Err(Error::config(
            "encryption_key",
            "contradicts transport=web, which cannot encrypt",
            "leave one of the two out",
        ));
    }
    let wrong = |problem: String| {
        Error::config(
            "encryption_key",
            problem,
            "copy it from the device's api: encryption: key:, 44 characters that end in =",
        )
    };
    let bytes = STANDARD
        .decode(text.expose().trim())
        .map(Zeroizing::new)
        .map_err(|_| wrong("is not base64".to_owned()))?;
    let key = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| wrong(format!("is base64 of {} bytes, not of 32", bytes.len())))?;
    Ok(Some(Zeroizing::new(key)))
}

/// One ESPHome device.
#[derive(Debug)]
struct Esphome {
    label: Label,
    web: Web,
}

#[async_trait]
impl FenceDevice for Esphome {
    fn label(&self) -> &Label {
        &self.label
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.web.open(deadline).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new(Method::Esphome);
        for (name, value) in pairs {
            settings.set(name, value).unwrap();
        }
        settings
    }

    #[test]
    fn a_wrong_key_is_refused_without_showing_it() {
        for (key, problem) in [("not base64!", "is not base64"), ("c2hvcnQ=", "of 5 bytes")] {
            let error = encryption_key(&settings(&[("encryption_key", key)]))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("encryption_key: ") && error.contains(problem),
                "{error}"
            );
            assert!(!error.contains(key), "{error}");
        }
        let good = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";
        assert!(
            encryption_key(&settings(&[("encryption_key", good)]))
                .unwrap()
                .is_some()
        );
        let contradiction = settings(&[("encryption_key", good), ("transport", "web")]);
        assert!(encryption_key(&contradiction).is_err());
    }

    #[test]
    fn the_label_shows_address_and_switch() {
        let device = device(&settings(&[("ip", "10.0.0.9"), ("switch_name", "Relay")])).unwrap();
        assert_eq!(device.label().to_string(), "esphome @ 10.0.0.9 plug Relay");
    }
}
