//! Sockets and HTTP for the backends. Codecs know nothing of it.

pub(crate) mod endpoint;
#[cfg(feature = "_http")]
pub(crate) mod http;
#[cfg(all(feature = "_http", feature = "tls"))]
mod tls;

pub(crate) use endpoint::{Endpoint, Steps};
