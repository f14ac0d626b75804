// A simulated TP-Link plug or strip of the npm package tplink-smarthome-simulator, on a free port of 127.0.0.1.
// usage: node tplink_plug.js MODEL [DATA-AS-JSON]
// Prints {"port": N} once it listens. Answers each line on stdin with {"states": [...]}: the relays as they are.
'use strict';

const readline = require('readline');
const { Device } = require('tplink-smarthome-simulator');

const [model, data] = process.argv.slice(2);
const device = new Device({
  model,
  address: '127.0.0.1',
  data: data ? JSON.parse(data) : {},
});
// A client that goes away, or sends what is no request, must not end the device.
device.deviceNetworking.on('error', () => {});

function states() {
  const { children } = device;
  if (Array.isArray(children) && children.length > 0) {
    return children.map((child) => child.sysinfo.state);
  }
  return [device.data.system.sysinfo.relay_state];
}

device.start().then(() => {
  console.log(JSON.stringify({ port: device.port }));
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => console.log(JSON.stringify({ asked: line, states: states() })));
  lines.on('close', () => process.exit(0));
});
