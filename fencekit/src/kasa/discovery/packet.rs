//! The packets of TP-Link's discovery (UDP 20002 and 20004), and what the answers say. Pure.

use serde_json::{Value, json};

use crate::identity::Identity;
use crate::kasa::connect::Transport;
use crate::kasa::json::{first_text, text};

/// Length of the header in front of the JSON.
const HEAD: usize = 16;
/// What the checksum's place holds while it is computed.
const CRC_SEED: u32 = 0x5A6B_7C8D;

/// A public key, without which nothing answers. The answers encrypt something to it that nobody here wants to read, so
/// its private half was thrown away.
const NOBODYS_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3ShqpURS8zEfmyUjNUh2\n\
RN5ADgk44axTk8vdbppVG9OZ0uwEAH1ZnOz+QJt9TMYwlGeUjFfdZKQe4FCCdhpq\n\
LL99QXLNfxF9pTHI3bvMaulwrWzh4Oz0E6rSzxn5w6fj3aZmtELHH4PNcqbuIc5F\n\
JNtbI+ROpZTgV0mULNSMomRbqPeCgWd5WMUV0coMdZwtqx63yYeF6L6/3aFOwW3w\n\
VBVJWFBNbk3Roc6vpJ9VayhE9UW+tIY1tUk38x0mUh4zCyoG2C0eGQdl/8WOFrt/\n\
V1HyZNIBChfzPnE4Ufj8QYBWM2cmpFxHvMqk60DXCn3vGPGccRDbLrwRJObbnuNp\n\
pQIDAQAB\n\
-----END PUBLIC KEY-----\n";

/// The question that every device answers.
pub(in crate::kasa) fn probe(serial: u32) -> Vec<u8> {
    let body = json!({"params": {"rsa_key": NOBODYS_KEY}}).to_string();
    packet(serial, body.as_bytes())
}

/// Version 2, message 1, flags 17, a serial number and a checksum over all of it; big-endian.
fn packet(serial: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = |crc: u32| {
        let mut head = vec![2, 0, 0, 1];
        head.extend(length);
        head.extend([17, 0]);
        head.extend(serial.to_be_bytes());
        head.extend(crc.to_be_bytes());
        head
    };
    let seeded = [&head(CRC_SEED), body].concat();
    [&head(crc32(&seeded)), body].concat()
}

/// CRC-32 as in Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            (crc >> 1) ^ carry
        })
    });
    !crc
}

/// What a device says of itself to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kasa) struct Advert {
    pub(in crate::kasa) identity: Identity,
    pub(super) device_type: Option<String>,
    pub(in crate::kasa) transport: Option<Transport>,
    pub(in crate::kasa) port: Option<u16>,
    /// The version of the login over AES.
    pub(in crate::kasa) login_version: Option<u64>,
    /// Nobody has set it up yet.
    pub(super) factory_default: bool,
}

impl Advert {
    /// Reads an answer; `None` when it is none.
    pub(in crate::kasa) fn read(packet: &[u8]) -> Option<Self> {
        let body = packet.get(HEAD..)?;
        let reply: Value = serde_json::from_slice(body).ok()?;
        let result = reply.get("result").filter(|result| result.is_object())?;
        let scheme = result.get("mgt_encrypt_schm").unwrap_or(&Value::Null);
        let transport = match text(scheme, "encrypt_type").as_deref() {
            Some("KLAP") => Some(Transport::Klap),
            Some("AES") => Some(Transport::Aes),
            Some("TPAP") => Some(Transport::Tpap),
            Some("XOR") => Some(Transport::Xor),
            _ => None,
        };
        let port = scheme.get("http_port").and_then(Value::as_u64);
        Some(Self {
            identity: Identity {
                mac: text(result, "mac"),
                device_id: text(result, "device_id"),
                guid: None,
                name: first_text(result, &["device_name", "alias"]),
                model: first_text(result, &["device_model", "model"]),
                firmware: first_text(result, &["firmware_version", "fw_ver"]),
            },
            device_type: text(result, "device_type"),
            transport,
            port: port
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            login_version: scheme.get("lv").and_then(Value::as_u64),
            factory_default: result.get("factory_default").and_then(Value::as_bool) == Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kasa::crypto::hex;
    use crate::kasa::vectors::vectors;

    #[test]
    fn packets_are_as_known() {
        let known = &vectors()["tdp"];
        let body = known["body"].as_str().unwrap();
        assert_eq!(
            hex(&packet(0x0102_0304, body.as_bytes())),
            known["packet"].as_str().unwrap()
        );
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_key_is_one() {
        use rsa::pkcs8::DecodePublicKey;
        assert!(rsa::PublicKey::from_public_key_pem(NOBODYS_KEY).is_ok());
    }

    fn answer(result: &Value) -> Option<Advert> {
        Advert::read(&packet(
            1,
            json!({"error_code": 0, "result": result}).to_string().as_bytes(),
        ))
    }

    #[test]
    fn an_answer_says_where_and_how() {
        let full = json!({
            "device_type": "SMART.TAPOPLUG", "device_model": "P110(EU)", "mac": "50-C7-BF-00-00-01",
            "factory_default": false,
            "mgt_encrypt_schm": {"encrypt_type": "KLAP", "http_port": 80, "lv": 2, "is_support_https": false},
        });
        let advert = answer(&full).unwrap();
        assert_eq!((advert.transport, advert.port), (Some(Transport::Klap), Some(80)));
        assert_eq!(advert.identity.model.as_deref(), Some("P110(EU)"));
        let bare = answer(&json!({"mgt_encrypt_schm": {"http_port": 70_000, "encrypt_type": 3}})).unwrap();
        assert_eq!((bare.transport, bare.port), (None, None));
        for none in [
            &b""[..],
            b"0123456789abcdef",
            b"0123456789abcdef{}",
            b"0123456789abcdef[1]",
        ] {
            assert_eq!(Advert::read(none), None);
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Advert::read(&noise);
        }
    }
}
