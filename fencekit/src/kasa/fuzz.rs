//! What the fuzzer calls: everything that reads bytes of a device.

use crate::power::Observation;

use super::klap::fuzz as klap;
use super::outlets::Report;
use super::xor::codec::Decoder;
use super::{iot, json, smart};

/// A stream of XOR frames, cut after `cut` bytes, and the replies in it.
pub fn xor(bytes: &[u8], cut: usize) {
    let whole = messages(&[bytes]);
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(whole, messages(&[head, tail]), "the pieces change what arrives");
    whole.iter().for_each(|message| reply(message));
}

fn messages(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(message)) = decoder.next() {
            messages.push(message);
        }
    }
    messages
}

/// One reply, in both dialects.
pub fn reply(bytes: &[u8]) {
    let Ok(reply) = json::parse(bytes) else {
        return;
    };
    let _ = (
        iot::relay_accepted(&reply),
        iot::meter(&reply),
        iot::is_reply(&reply),
    );
    let _ = (
        smart::state_accepted(&reply, None),
        smart::meter(&reply, None),
        smart::current_power(&reply, None),
    );
    let _ = smart::Children::default().take_page(&reply);
    // 0 in one dialect, false in the other.
    if let Ok(report) = iot::report(&reply) {
        assert!(!says_off(&report) || bytes.contains(&b'0'), "off out of nothing");
    }
    if let Ok(report) = smart::Info::read(&reply).and_then(smart::Info::plug) {
        let word = bytes.windows(5).any(|word| word == b"false");
        assert!(!says_off(&report) || word, "off out of nothing");
    }
}

fn says_off(report: &Report) -> bool {
    report
        .outlets
        .iter()
        .any(|outlet| outlet.observation == Observation::Off)
}

/// The replies of a KLAP handshake and session, by somebody who knows no account.
pub fn handshake(bytes: &[u8]) {
    klap::handshake(bytes);
}

/// Replies over AES and TPAP, to somebody who knows no account.
pub fn sealed(bytes: &[u8]) {
    super::aes::fuzz(bytes);
    super::tpap::fuzz(bytes);
}

/// An answer to a search, which anybody on the network can send.
pub fn discovery(packet: &[u8]) {
    let _ = super::discovery::Advert::read(packet);
}
