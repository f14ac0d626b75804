//! Which of the device's entities are meant.

use super::message::{DeviceInfo, Entity, Key};
use crate::error::{Error, Result};
use crate::esphome::plug::{Name, Wanted, is_object_id_of};
use crate::esphome::watts_of_unit;

/// The switch that is fenced, and what is known to tell more about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) switch: Entity,
    pub(super) meter: Option<Meter>,
    pub(super) uptime: Option<Key>,
}

/// A sensor of active power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Meter {
    pub(super) key: Key,
    /// Watts to one of its units.
    pub(super) watts: f64,
}

/// Entities under their full names: `Relay`, or `Rack B/Relay` in a sub-device.
pub(super) struct Catalogue<'a> {
    info: &'a DeviceInfo,
    switches: &'a [Entity],
    sensors: &'a [Entity],
}

impl<'a> Catalogue<'a> {
    pub(super) fn new((info, switches, sensors): (&'a DeviceInfo, &'a [Entity], &'a [Entity])) -> Self {
        Self {
            info,
            switches,
            sensors,
        }
    }

    pub(super) fn switches(&self) -> &'a [Entity] {
        self.switches
    }

    /// What to write as `plug` for an entity.
    pub(super) fn full_name(&self, entity: &Entity) -> String {
        match self.sub_device(entity) {
            Some(device) => format!("{device}/{}", entity.name),
            None => entity.name.clone(),
        }
    }

    fn sub_device(&self, entity: &Entity) -> Option<&str> {
        if entity.key.device == 0 {
            return None;
        }
        let named = self
            .info
            .sub_devices
            .iter()
            .find(|(id, _)| *id == entity.key.device);
        Some(named.map_or("?", |(_, name)| name.as_str()))
    }

    /// The wanted switch and its sensors.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such switch, or more than one.
    pub(super) fn target(&self, wanted: &Wanted, power_sensor: Option<&Name>) -> Result<Target> {
        let switch = self.switch(wanted)?;
        Ok(Target {
            // Whatever is wrong with the meter is no reason not to switch.
            meter: self.meter(switch, power_sensor).ok(),
            uptime: self.uptime(switch),
            switch: switch.clone(),
        })
    }

    fn switch(&self, wanted: &Wanted) -> Result<&'a Entity> {
        let named = match wanted {
            Wanted::Switch(name) => match self.named(self.switches, name, "plug")? {
                Some(switch) => return Ok(switch),
                None => format!("the device has no switch called \"{}\"", name.as_str()),
            },
            Wanted::Node(name) => match self.named(self.switches, name, "plug")? {
                Some(switch) => return Ok(switch),
                None => format!(
                    "is the node's name \"{}\", which is none of the device's switches",
                    name.as_str()
                ),
            },
            Wanted::Nothing => "is missing".to_owned(),
        };
        match (wanted, self.switches) {
            (Wanted::Node(_) | Wanted::Nothing, [only]) => Ok(only),
            (_, []) => Err(Error::config(
                "plug",
                named,
                "the device has no switch at all; is this the right one?",
            )),
            (_, switches) => {
                let names: Vec<_> = switches
                    .iter()
                    .map(|switch| format!("\"{}\"", self.full_name(switch)))
                    .collect();
                Err(Error::config(
                    "plug",
                    named,
                    format!("its switches are: {}", names.join(", ")),
                ))
            }
        }
    }

    /// The entity of a name: its full name before its object id, before a name within whatever sub-device, before its
    /// key.
    ///
    /// # Errors
    /// [`Error::Config`] when the same kind of name fits more than one.
    fn named(&self, entities: &'a [Entity], name: &Name, option: &str) -> Result<Option<&'a Entity>> {
        let text = name.as_str();
        let ways: [&dyn Fn(&Entity) -> bool; 4] = [
            &|entity| self.full_name(entity) == text,
            &|entity| self.has_object_id(entity, text),
            &|entity| entity.name == text,
            &|entity| parse_key(text) == Some(entity.key.key),
        ];
        for fits in ways {
            let mut found = entities.iter().filter(|entity| fits(entity));
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(entity), None) => return Ok(Some(entity)),
                (Some(one), Some(other)) => {
                    return Err(Error::config(
                        option,
                        format!(
                            "\"{text}\" fits both \"{}\" and \"{}\"",
                            self.full_name(one),
                            self.full_name(other)
                        ),
                        "give the full name of one, or rename one of them on the device",
                    ));
                }
            }
        }
        Ok(None)
    }

    fn has_object_id(&self, entity: &Entity, text: &str) -> bool {
        let id = match self.sub_device(entity) {
            Some(device) => match text.strip_prefix(device).and_then(|rest| rest.strip_prefix('/')) {
                Some(id) => id,
                None => return false,
            },
            None => text,
        };
        if entity.object_id.is_empty() {
            is_object_id_of(id, &entity.name)
        } else {
            id == entity.object_id
        }
    }

    /// The meter of a switch: by the option, else `<switch> Power`, else `Power` where it cannot be another switch's,
    /// else the only power sensor of a device with one switch.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there is none; [`Error::Config`] when the option's sensor is not one, or `Power` may
    /// be another switch's.
    pub(super) fn meter(&self, switch: &Entity, option: Option<&Name>) -> Result<Meter> {
        let sensor = match option {
            Some(name) => self.named(self.sensors, name, "power_sensor")?.ok_or_else(|| {
                Error::config(
                    "power_sensor",
                    format!("the device has no sensor called \"{}\"", name.as_str()),
                    self.sensor_names(),
                )
            })?,
            None => self.likely_meter(switch)?.ok_or_else(|| {
                Error::unsupported(
                    "the device has no power sensor for this switch; if it has one under another name, give power_sensor",
                )
            })?,
        };
        // A reading in another unit could be taken for a small one.
        let watts = watts_of_unit(&sensor.unit).ok_or_else(|| {
            Error::config(
                "power_sensor",
                format!("\"{}\" measures in \"{}\"", sensor.name, sensor.unit),
                "name a sensor that measures in W or kW",
            )
        })?;
        Ok(Meter {
            key: sensor.key,
            watts,
        })
    }

    fn likely_meter(&self, switch: &Entity) -> Result<Option<&'a Entity>> {
        let beside: Vec<_> = self
            .sensors
            .iter()
            .filter(|sensor| sensor.key.device == switch.key.device)
            .collect();
        let called = |name: &str| beside.iter().find(|sensor| sensor.name == name).copied();
        let power: Vec<_> = beside
            .iter()
            .copied()
            .filter(|sensor| sensor.device_class == "power")
            .collect();
        let only = || match (power.as_slice(), self.switches) {
            ([only], [_]) => Some(*only),
            _ => None,
        };
        if let Some(own) = called(&format!("{} Power", switch.name)) {
            return Ok(Some(own));
        }
        let Some(bare) = called("Power") else {
            return Ok(only());
        };
        // Another switch's meter shows 0 W while this one is still on.
        let has_others = self
            .switches
            .iter()
            .filter(|other| other.key.device == switch.key.device)
            .count()
            > 1;
        let is_only = matches!(power.as_slice(), [one] if one.key == bare.key);
        if has_others && !is_only {
            return Err(Error::config(
                "power_sensor",
                format!(
                    "is missing, and \"Power\" may be the meter of another switch than \"{}\"",
                    self.full_name(switch)
                ),
                format!("name the sensor of this switch; {}", self.sensor_names()),
            ));
        }
        Ok(Some(bare))
    }

    fn sensor_names(&self) -> String {
        let names: Vec<_> = self
            .sensors
            .iter()
            .map(|sensor| format!("\"{}\"", self.full_name(sensor)))
            .collect();
        if names.is_empty() {
            "it has no sensors; leave the option out".to_owned()
        } else {
            format!("its sensors are: {}", names.join(", "))
        }
    }

    /// A sensor of the device's running time in seconds.
    fn uptime(&self, switch: &Entity) -> Option<Key> {
        let is_uptime = |sensor: &&Entity| {
            let name = sensor.name.to_ascii_lowercase();
            sensor.unit == "s" && (name == "uptime" || name.ends_with(" uptime"))
        };
        let candidates = || self.sensors.iter().filter(is_uptime);
        candidates()
            .find(|sensor| sensor.key.device == switch.key.device)
            .or_else(|| candidates().find(|sensor| sensor.key.device == 0))
            .map(|sensor| sensor.key)
    }
}

fn parse_key(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
