//! Sockets and HTTP for the backends. Codecs know nothing of it.

#[cfg(feature = "_http")]
#[cfg_attr(not(any(feature = "esphome", feature = "http")), allow(dead_code))]
pub(crate) mod auth;
#[cfg(feature = "_http")]
#[cfg_attr(not(any(feature = "esphome", feature = "http")), allow(dead_code))]
pub(crate) mod digest;
pub(crate) mod endpoint;
#[cfg(feature = "_http")]
pub(crate) mod http;
#[cfg(any(feature = "kasa", feature = "tasmota", feature = "http"))]
pub(crate) mod lock;
#[cfg(all(feature = "_http", feature = "tls"))]
mod tls;

pub(crate) use endpoint::{Endpoint, Steps};
#[cfg(any(feature = "kasa", feature = "tasmota", feature = "http"))]
pub(crate) use lock::DeviceLock;
