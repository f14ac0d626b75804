use super::*;

fn entity(name: &str, key: u32, device: u32) -> Entity {
    Entity {
        key: Key { key, device },
        name: name.to_owned(),
        ..Entity::default()
    }
}

fn sensor(name: &str, key: u32, unit: &str, class: &str) -> Entity {
    Entity {
        unit: unit.to_owned(),
        device_class: class.to_owned(),
        ..entity(name, key, 0)
    }
}

fn info() -> DeviceInfo {
    DeviceInfo {
        sub_devices: vec![(5, "Rack A".to_owned()), (6, "Rack B".to_owned())],
        ..DeviceInfo::default()
    }
}

fn choose(switches: &[Entity], sensors: &[Entity], wanted: Wanted, meter: Option<&str>) -> Result<Target> {
    Catalogue::new((&info(), switches, sensors)).target(&wanted, meter.map(Name::new).as_ref())
}

fn named(switches: &[Entity], name: &str) -> Result<Key> {
    choose(switches, &[], Wanted::Switch(Name::new(name)), None).map(|target| target.switch.key)
}

#[test]
fn a_switch_is_found_by_name_object_id_or_key() {
    let switches = [entity("Relay", 11, 0), entity("Second Outlet", 12, 0)];
    for name in ["Second Outlet", "second_outlet", "12", "0xc"] {
        assert_eq!(named(&switches, name).unwrap().key, 12, "{name}");
    }
    let old = [Entity {
        object_id: "relais_1".to_owned(),
        ..entity("Relay", 11, 0)
    }];
    assert_eq!(named(&old, "relais_1").unwrap().key, 11);
    assert!(named(&old, "relay").is_err(), "its object id is another one");
}

#[test]
fn an_unknown_switch_lists_the_known_ones() {
    let switches = [entity("Relay", 11, 0), entity("Relay", 11, 6)];
    for name in ["RELAY", "Rel", "Rack A/Relay", "13"] {
        let error = named(&switches, name).unwrap_err().to_string();
        assert!(
            error.starts_with("plug: ") && error.contains("\"Relay\", \"Rack B/Relay\""),
            "{error}"
        );
    }
    assert!(
        named(&[], "Relay")
            .unwrap_err()
            .to_string()
            .contains("no switch at all")
    );
}

#[test]
fn what_fits_two_switches_is_no_choice() {
    let twins = [entity("Relay", 11, 0), entity("Relay", 12, 0)];
    assert!(
        named(&twins, "Relay")
            .unwrap_err()
            .to_string()
            .contains("fits both")
    );
    let racks = [entity("Relay", 11, 5), entity("Relay", 11, 6)];
    for name in ["Relay", "11"] {
        assert!(named(&racks, name).is_err(), "{name}");
    }
    let same_id = [entity("Relay!", 11, 0), entity("Relay?", 12, 0)];
    assert!(named(&same_id, "relay_").is_err());
}

#[test]
fn a_sub_device_has_its_own_switches() {
    let switches = [
        entity("Relay", 11, 0),
        entity("Relay", 11, 5),
        entity("Fan", 12, 6),
    ];
    assert_eq!(named(&switches, "Relay").unwrap().device, 0, "the device's own");
    assert_eq!(named(&switches, "Rack A/Relay").unwrap().device, 5);
    assert_eq!(named(&switches, "Rack A/relay").unwrap().device, 5);
    assert_eq!(named(&switches, "Fan").unwrap().device, 6, "there is only one");
}

#[test]
fn the_only_switch_needs_no_name_and_the_nodes_name_is_none() {
    let one = [entity("Relay", 11, 0)];
    let two = [entity("Relay", 11, 0), entity("Fan", 12, 0)];
    let node = || Wanted::Node(Name::new("storage-b"));
    for wanted in [node(), Wanted::Nothing] {
        assert_eq!(
            choose(&one, &[], wanted.clone(), None).unwrap().switch.key.key,
            11
        );
        let error = choose(&two, &[], wanted, None).unwrap_err().to_string();
        assert!(error.contains("\"Relay\", \"Fan\""), "{error}");
    }
    let called_so = [entity("Relay", 11, 0), entity("storage-b", 12, 0)];
    assert_eq!(choose(&called_so, &[], node(), None).unwrap().switch.key.key, 12);
    // But a name that the user gave is never replaced by the only switch.
    assert!(named(&one, "Fan").is_err());
}

#[test]
fn the_meter_belongs_to_the_switch() {
    let one = [entity("Relay", 11, 0)];
    let two = [entity("Relay", 11, 0), entity("Fan", 12, 0)];
    let any = [sensor("Load", 21, "W", "power")];
    let meter = |switches: &[Entity], sensors: &[Entity], option: Option<&str>| {
        let info = info();
        let catalogue = Catalogue::new((&info, switches, sensors));
        catalogue.meter(&switches[0], option.map(Name::new).as_ref())
    };
    assert_eq!(meter(&one, &any, None).unwrap().key.key, 21);
    let none = meter(&two, &any, None);
    assert!(
        matches!(none, Err(Error::Unsupported { .. })),
        "it may be the fan's"
    );
    assert_eq!(meter(&two, &any, Some("Load")).unwrap().key.key, 21);
    let by_name = [
        sensor("Power", 21, "W", "power"),
        sensor("Relay Power", 22, "kW", "power"),
    ];
    let found = meter(&two, &by_name, None).unwrap();
    assert_eq!((found.key.key, found.watts), (22, 1000.0));
    let error = meter(&one, &any, Some("Lode")).unwrap_err().to_string();
    assert!(
        error.starts_with("power_sensor: ") && error.contains("\"Load\""),
        "{error}"
    );
    // With a second one of its kind, or without a class, "Power" may be the fan's; alone it is of both.
    let each = [
        sensor("Power", 21, "W", "power"),
        sensor("Power 2", 22, "W", "power"),
    ];
    let unclassed = [sensor("Power", 21, "W", "")];
    for sensors in [&each[..], &unclassed] {
        let error = meter(&two, sensors, None).unwrap_err().to_string();
        assert!(
            error.starts_with("power_sensor: is missing") && error.contains("\"Power\""),
            "{error}"
        );
        assert_eq!(meter(&one, sensors, None).unwrap().key.key, 21);
        assert_eq!(meter(&two, sensors, Some("Power")).unwrap().key.key, 21);
    }
    assert_eq!(meter(&two, &each[..1], None).unwrap().key.key, 21);
    // A switch of a sub-device is none beside it.
    let apart = [entity("Relay", 11, 0), entity("Fan", 12, 5)];
    assert_eq!(meter(&apart, &each, None).unwrap().key.key, 21);
    let amps = [sensor("Power", 21, "A", "current")];
    assert!(meter(&one, &amps, None).is_err());
    // But that is no reason not to switch.
    let wanted = Wanted::Switch(Name::new("Relay"));
    assert_eq!(choose(&one, &amps, wanted, Some("Nope")).unwrap().meter, None);
}

#[test]
fn uptime_is_a_sensor_of_seconds() {
    let one = [entity("Relay", 11, 0)];
    let uptime = |sensors: &[Entity]| {
        let wanted = Wanted::Switch(Name::new("Relay"));
        choose(&one, sensors, wanted, None)
            .unwrap()
            .uptime
            .map(|key| key.key)
    };
    assert_eq!(uptime(&[sensor("Plug Uptime", 31, "s", "duration")]), Some(31));
    assert_eq!(uptime(&[sensor("Uptime", 31, "d", "")]), None);
    assert_eq!(uptime(&[sensor("Countdown", 31, "s", "duration")]), None);
}
