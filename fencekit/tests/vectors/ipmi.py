#!/usr/bin/env python3
"""Known answers for RMCP+, written from the specification with hmac and hashlib alone (and AES of `cryptography`).

    python3 ipmi.py > ipmi.json

Each session is a whole one: what our side must send, byte for byte, and what the BMC sends back.
"""

import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

USER, PASSWORD, ROLE = b"fencer", b"correct-horse-batt", 0x13
CONSOLE, BMC = 0xA0A1A2A3, 0xB0B1B2B3
RM, RC, GUID = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
IV_KEY, TAG = bytes(range(48, 64)), 0x5A
SUITES = {3: (hashlib.sha1, 12, (1, 1, 1)), 17: (hashlib.sha256, 16, (3, 4, 1))}


def le32(number):
    return struct.pack("<I", number)


def aes(key):
    return algorithms.AES(key)


def iv_of(count):
    """The documented way our side makes IVs: a little-endian counter, encrypted."""
    block = Cipher(aes(IV_KEY), modes.ECB()).encryptor()
    return block.update(struct.pack("<QQ", count, 0)) + block.finalize()


def setup(kind, payload):
    return bytes([6, 0, 0xFF, 7, 6, kind]) + bytes(8) + struct.pack("<H", len(payload)) + payload


def triple(suite):
    return b"".join(bytes([kind, 0, 0, 8, algorithm, 0, 0, 0]) for kind, algorithm in enumerate(SUITES[suite][2]))


def lan(first, netfn, second, sequence, command, data):
    def summed(part):
        return part + bytes([-sum(part) & 0xFF])

    return summed(bytes([first, netfn << 2])) + summed(bytes([second, sequence << 2, command]) + data)


class Session:
    def __init__(self, suite, kg):
        self.hash, self.cut, _ = SUITES[suite]
        kuid = PASSWORD.ljust(20, b"\0")
        named = bytes([ROLE, len(USER)]) + USER
        self.rakp2 = self.mac(kuid, le32(CONSOLE) + le32(BMC) + RM + RC + GUID + named)
        self.rakp3 = self.mac(kuid, RC + le32(CONSOLE) + named)
        sik = self.mac(kg or kuid, RM + RC + named)
        self.rakp4 = self.mac(sik, RM + le32(BMC) + GUID)[: self.cut]
        self.k1, self.k2 = self.mac(sik, b"\1" * 20), self.mac(sik, b"\2" * 20)

    def mac(self, key, data):
        return hmac.new(key, data, self.hash).digest()

    def packet(self, session, sequence, iv, message):
        pad = -(len(message) + 1) % 16
        clear = message + bytes(range(1, pad + 1)) + bytes([pad])
        cipher = Cipher(aes(self.k2[:16]), modes.CBC(iv)).encryptor()
        payload = iv + cipher.update(clear) + cipher.finalize()
        signed = bytes([6, 0xC0]) + le32(session) + le32(sequence) + struct.pack("<H", len(payload)) + payload
        pad = -(len(signed) + 2) % 4
        signed += b"\xff" * pad + bytes([pad, 7])
        return bytes([6, 0, 0xFF, 7]) + signed + self.mac(self.k1, signed)[: self.cut]


def session(suite, kg):
    with_keys = Session(suite, kg)
    head = bytes([TAG, 0, 0, 0])
    answer = head + le32(CONSOLE)
    turns = [
        (setup(0x10, bytes([TAG, ROLE & 15, 0, 0]) + le32(CONSOLE) + triple(suite)),
         setup(0x11, bytes([TAG, 0, ROLE & 15, 0]) + le32(CONSOLE) + le32(BMC) + triple(suite))),
        (setup(0x12, head + le32(BMC) + RM + bytes([ROLE, 0, 0, len(USER)]) + USER),
         setup(0x13, answer + RC + GUID + with_keys.rakp2)),
        (setup(0x14, head + le32(BMC) + with_keys.rakp3), setup(0x15, answer + with_keys.rakp4)),
    ]
    commands = [
        (0x00, 0x01, b"", b"\x00\x01\x00\x40\x00"),
        (0x06, 0x3B, bytes([ROLE & 15]), bytes([0, ROLE & 15])),
        (0x00, 0x02, b"\0", b"\0"),
        (0x00, 0x01, b"", b"\x00\x00\x00\x40"),
        (0x06, 0x3C, le32(BMC), b"\0"),
    ]
    for number, (netfn, command, data, said) in enumerate(commands, 1):
        request = lan(0x20, netfn, 0x81, number, command, data)
        response = lan(0x81, netfn | 1, 0x20, number, command, said)
        turns.append((with_keys.packet(BMC, number, iv_of(number), request),
                      with_keys.packet(CONSOLE, number, bytes([number] * 16), response)))
    return {
        "suite": suite,
        "kg": kg.hex(),
        "seed": (le32(CONSOLE) + RM + IV_KEY + bytes([TAG])).hex(),
        "guid": GUID.hex(),
        "turns": [{"sends": sends.hex(), "receives": receives.hex()} for sends, receives in turns],
    }


print(json.dumps([session(suite, kg) for suite in SUITES for kg in (b"", b"a key of 20 bytes!!!")], indent=1))
