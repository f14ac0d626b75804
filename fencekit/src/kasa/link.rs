//! What carries JSON to a device and its answer back, whatever the transport.

use async_trait::async_trait;
use serde_json::Value;

use super::carrier::Carrier;
use crate::deadline::Deadline;
use crate::error::Result;

/// An open way to a device: connected, and logged in where there is a login.
#[async_trait]
pub(super) trait Link: Send {
    /// Sends one request and returns the whole reply. After an error only a new link is to be trusted.
    ///
    /// # Errors
    /// [`Unreachable`](crate::Error::Unreachable), [`Timeout`](crate::Error::Timeout) or
    /// [`Protocol`](crate::Error::Protocol); the request may have been obeyed.
    async fn ask(&mut self, request: &Value, deadline: Deadline) -> Result<Value>;

    /// What was noticed on the way.
    fn remarks(&self) -> Remarks {
        Remarks::default()
    }
}

/// What a device answers to the first request of a transport.
pub(super) enum Greeting<L> {
    /// It speaks it.
    Spoken(Box<L>),
    /// It speaks something else; the connection can serve to ask for that.
    Other(Carrier),
}

/// What a transport noticed that is no failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// Replies with a wrong signature.
    pub(super) unsigned: u32,
    /// The device took the account that all of the maker's plugs come with.
    pub(super) makers_account: bool,
}
