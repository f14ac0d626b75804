//! A session that stands: sealing requests, opening answers.

use super::config::Quirks;
use super::crypto::{Ivs, Keys};
use super::lan::{self, Request, Response};
use super::rmcp::{self, Dropped, Outgoing, Packet, payload};
use super::window::Window;

/// Keys, ids and counters of a session, and the request under way.
pub(super) struct Live {
    keys: Keys,
    ivs: Ivs,
    console: u32,
    /// The BMC's session id.
    pub(super) bmc: u32,
    pub(super) guid: [u8; 16],
    sequence: u32,
    request_sequence: u8,
    window: Window,
    pub(super) asking: Option<Asking>,
}

/// A request under way.
pub(super) struct Asking {
    pub(super) request: Request,
    /// The BMC was busy; the request waits for its next turn.
    pub(super) resting: bool,
    /// The BMC took a repetition for a duplicate: what it said the first time is lost.
    pub(super) duplicate: bool,
    /// It is the goodbye.
    pub(super) closing: bool,
}

impl Live {
    pub(super) fn new(keys: Keys, ivs: Ivs, console: u32, bmc: u32, guid: [u8; 16]) -> Self {
        Self {
            keys,
            ivs,
            console,
            bmc,
            guid,
            sequence: 0,
            request_sequence: 0,
            window: Window::default(),
            asking: None,
        }
    }

    /// Takes a new request on.
    pub(super) fn ask(&mut self, request: Request, closing: bool) {
        self.next_request();
        self.asking = Some(Asking {
            request,
            resting: false,
            duplicate: false,
            closing,
        });
    }

    /// A new request sequence number, so that no earlier answer fits. Six bits, and never zero: some BMCs take that for
    /// a number of their own.
    pub(super) fn next_request(&mut self) {
        self.request_sequence = self.request_sequence % 63 + 1;
    }

    /// Writes the request under way, each time with a new session sequence number.
    pub(super) fn write(&mut self, quirks: Quirks, out: &mut Vec<u8>) -> bool {
        let Some(asking) = &self.asking else {
            return false;
        };
        let mut message = Vec::with_capacity(32);
        lan::write(&asking.request, self.request_sequence, &mut message);
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let outgoing = Outgoing {
            keys: &self.keys,
            session: self.bmc,
            sequence: self.sequence,
            iv: self.ivs.next(),
            short_pad: quirks.icts,
        };
        rmcp::write_session(&outgoing, &message, out)
    }

    /// The answer to the request under way, out of a packet that is authentic and new.
    ///
    /// # Errors
    /// Why the packet does not count.
    pub(super) fn handle(&mut self, packet: &Packet<'_>, quirks: Quirks) -> Result<Response, Dropped> {
        if packet.kind != payload::IPMI {
            return Err("it carries no IPMI message");
        }
        if packet.session != self.console && !(quirks.idzero && packet.session == 0) {
            return Err("it belongs to another session");
        }
        let message = packet.open(&self.keys)?;
        if !self.window.admit(packet.sequence) {
            return Err("it is a replay");
        }
        let response = lan::parse(&message, !quirks.nochecksumcheck)?;
        match &self.asking {
            Some(asking) if response.answers(&asking.request, self.request_sequence) => Ok(response),
            _ => Err("it answers another request"),
        }
    }
}
