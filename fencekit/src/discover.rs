//! What was found on a network by asking everybody.

use std::net::SocketAddr;

use crate::identity::Identity;
use crate::method::Method;

/// A device that answered a search. It was neither logged in to nor changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The backend that speaks to it.
    pub method: Method,
    /// Where it answers.
    pub address: SocketAddr,
    /// The value for the `transport` option, where the method has one; empty elsewhere.
    pub transport: String,
    /// What it says of itself.
    pub identity: Identity,
    /// Whether it has a meter, where it says so.
    pub metered: Option<bool>,
    /// Anything worth a word to the owner, as "third-party compatibility is off".
    pub note: String,
}
