# Copyright: the fencekit contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  method:
    description: How the device is spoken to. Required for a single device; a O(node) has it in the cluster file.
    type: str
    choices: [ipmi, kasa, tasmota, esphome, http]
  ip:
    description:
      - Address or name of the device.
      - Not needed with O(method=http) when the URLs are whole; needed otherwise.
    type: str
  ipport:
    description: TCP or UDP port of the device. Left out, it is the standard one of the protocol.
    type: int
    aliases: [port]
  username:
    description: Login name, where the device has one.
    type: str
    aliases: [user]
  password:
    description: The password.
    type: str
  password_file:
    description:
      - A file on the managed machine whose first line is the password. It should be readable by root alone.
      - It keeps the password out of Ansible's variables altogether.
    type: path
  plug:
    description:
      - The outlet, on a device that has several.
      - For O(method=kasa) an index from 1, a child id or an alias; for O(method=tasmota) a relay's number from 1;
        for O(method=esphome) the switch's name.
    type: str
  switch_name:
    description: For O(method=esphome), the switch's name as ESPHome shows it, or its object id. The same as O(plug).
    type: str
  encryption_key:
    description: For O(method=esphome), the key of the native API, 32 bytes in base64.
    type: str
  power_sensor:
    description: For O(method=esphome), the name of the sensor that measures the outlet's power.
    type: str
  transport:
    description:
      - The protocol, where a method has several.
      - V(xor), V(klap), V(aes) and V(tpap) belong to O(method=kasa), V(native) and V(web) to O(method=esphome).
    type: str
    choices: [auto, xor, klap, aes, tpap, native, web]
  strict_signature:
    description: For O(method=kasa), whether a KLAP reply with a wrong signature is a failure.
    type: bool
  expect_identity:
    description:
      - MAC address, device id, GUID of the BMC or name that the device must report.
      - Another device that answers at this address is never switched, and the task fails.
    type: str
    aliases: [identity]
  off_max_watts:
    description: After an off the device's own meter must read at most this. It needs a device with a meter.
    type: float
  confirm_reads:
    description: How many readings in a row must show the new state.
    type: int
  ssl:
    description: Whether to use HTTPS, with a certificate that is verified.
    type: bool
  ssl_insecure:
    description: Whether to use HTTPS with whatever certificate the device has.
    type: bool
  inet4_only:
    description: Whether to use IPv4 addresses alone.
    type: bool
  inet6_only:
    description: Whether to use IPv6 addresses alone.
    type: bool
  power_on_url:
    description: For O(method=http), the URL that switches on, whole or a path at O(ip). Hidden, since it may hold a token.
    type: str
  power_off_url:
    description: For O(method=http), the URL that switches off, whole or a path at O(ip). Hidden, since it may hold a token.
    type: str
  status_url:
    description: For O(method=http), the URL whose reply shows the state. Hidden, since it may hold a token.
    type: str
  status_on_regex:
    description: For O(method=http), a regular expression that the status matches only while the outlet is on.
    type: str
  status_off_regex:
    description:
      - For O(method=http), a regular expression that the status matches only while the outlet is off.
      - Without it no off is ever confirmed.
    type: str
  power_on_method:
    description: For O(method=http), the HTTP method of O(power_on_url).
    type: str
    choices: [GET, POST, PUT, PATCH]
  power_off_method:
    description: For O(method=http), the HTTP method of O(power_off_url).
    type: str
    choices: [GET, POST, PUT, PATCH]
  power_on_body:
    description: For O(method=http), what is sent to O(power_on_url). Hidden, since it may hold a token.
    type: str
  power_off_body:
    description: For O(method=http), what is sent to O(power_off_url). Hidden, since it may hold a token.
    type: str
  cipher:
    description: For O(method=ipmi), V(auto) (suite 17, then 3 when the BMC refuses 17) or the number of a suite.
    type: str
  privlvl:
    description: For O(method=ipmi), the privilege level of the session.
    type: str
    choices: [callback, user, operator, administrator]
  hexadecimal_kg:
    description: For O(method=ipmi), the BMC's Kg key in hexadecimal.
    type: str
  quirks:
    description: For O(method=ipmi), names of faults of BMCs to live with.
    type: list
    elements: str
  allow:
    description: For O(method=ipmi), names of weaknesses to accept.
    type: list
    elements: str
  login_timeout:
    description: How many seconds a login may take.
    type: float
  shell_timeout:
    description: How many seconds an answer may take.
    type: float
  power_timeout:
    description: How many seconds the new state may take to show.
    type: float
  power_wait:
    description: How many seconds to wait after a command before the state is read back.
    type: float
  stonith_status_sleep:
    description: How many seconds to wait between two readings of the state.
    type: float
  retry_on:
    description: How often a power-on is tried.
    type: int
  node:
    description:
      - Instead of a device's options, a node of the cluster file by its name. All devices that feed it are meant, and
        it is off when every one of them is.
      - The devices' options stand in the cluster file then; one beside it, O(expect_identity) or O(off_max_watts) for
        instance, is an error.
    type: str
  timeout:
    description: How many seconds everything together may take. Left out, it follows from the other limits.
    type: float
requirements:
  - The Python package C(fencekit) on the managed machine, for Python 3.9 or later.
notes:
  - O(password), O(encryption_key), O(hexadecimal_kg) and what may hold a token are in no output and in no log.
  - One task talks to a device at a time; the task waits for its turn.
"""
