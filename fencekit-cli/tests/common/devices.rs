//! The simulated devices, each with the agent that speaks to it.

use fencekit_sim::esphome::{WebFirmware, serve_web};
use fencekit_sim::ipmi::BmcSpec;
use fencekit_sim::{Device, Spec};

use super::{Call, Served, call, loopback, serve};

pub(crate) fn kasa(spec: Spec) -> Served {
    serve(move || fencekit_sim::kasa::serve_xor(Device::new(spec), loopback()))
}

pub(crate) fn esphome(spec: Spec) -> Served {
    serve(move || serve_web(Device::new(spec), loopback(), WebFirmware::default()))
}

pub(crate) fn tasmota(spec: Spec) -> Served {
    serve(move || fencekit_sim::tasmota::serve(Device::new(spec), loopback()))
}

pub(crate) fn bmc(spec: Spec) -> Served {
    serve(move || fencekit_sim::ipmi::serve(Device::new(spec), loopback(), BmcSpec::default()))
}

pub(crate) fn http(spec: Spec) -> Served {
    serve(move || fencekit_sim::http_outlet::serve(Device::new(spec), loopback()))
}

/// `fence_http` for the simulated outlet.
pub(crate) fn http_call(number: u8) -> Call {
    call("fence_http")
        .with("power_on_url", &format!("/outlet/{number}/on"))
        .with("power_off_url", &format!("/outlet/{number}/off"))
        .with("status_url", &format!("/outlet/{number}"))
        .with("status_on_regex", "\"state\": ?\"on\"")
        .with("status_off_regex", "\"state\": ?\"off\"")
}
