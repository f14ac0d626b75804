//! ESPHome, in a venv of its own.

use std::time::Instant;

use super::lists::ESPHOME;
use super::python::{install_venv, need_venv};
use super::{Done, Need};
use crate::context::Context;

/// What is not installed.
pub(crate) fn need(context: &Context) -> Need {
    need_venv(context, "esphome", ESPHOME)
}

/// Installs ESPHome.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    install_venv(context, until, "esphome", ESPHOME)
}
