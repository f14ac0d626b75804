//! What the fuzzer calls.

use zeroize::Zeroizing;

use super::client::Client;
use super::noise::PreSharedKey;

/// One device's side of two conversations.
pub(in crate::esphome) fn talk(bytes: &[u8], cut: usize, ephemeral: Zeroizing<[u8; 32]>) {
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    let mut plain = Client::plain();
    if plain.handle(head).is_ok() {
        plain.ask_states();
        let _ = plain.handle(tail);
    }
    let _ = plain.introduction();
    let _ = plain.take_output();

    let key: PreSharedKey = Zeroizing::new([5; 32]);
    if let Ok(mut encrypted) = Client::encrypted(&key, ephemeral) {
        let _ = encrypted.handle(head).and_then(|()| encrypted.handle(tail));
        assert!(!encrypted.is_encrypted(), "encryption out of nothing");
    }
}
