// A simulated TP-Link plug or strip of the npm package tplink-smarthome-simulator, on a free port of 127.0.0.1.
// usage: node tplink_plug.js MODEL [DATA-AS-JSON]
// Prints {"port": N} once it listens. Answers each line on stdin with {"states": [...]}: the relays as they are.
'use strict';

const readline = require('readline');
const { Device } = require('tplink-smarthome-simulator');

const TRIES = 20;

const [model, data] = process.argv.slice(2);

// The package takes a free port for UDP and then the same number for TCP, where it may be a busy client's: another
// device tries another number.
async function start(tries) {
  const device = new Device({
    model,
    address: '127.0.0.1',
    data: data ? JSON.parse(data) : {},
  });
  // A client that goes away, or sends what is no request, must not end the device.
  device.deviceNetworking.on('error', () => {});
  try {
    await device.start();
    return device;
  } catch (error) {
    if (error.code !== 'EADDRINUSE' || tries <= 1) {
      throw error;
    }
    return start(tries - 1);
  }
}

function states({ children, data: { system } }) {
  if (Array.isArray(children) && children.length > 0) {
    return children.map((child) => child.sysinfo.state);
  }
  return [system.sysinfo.relay_state];
}

start(TRIES).then((device) => {
  console.log(JSON.stringify({ port: device.port }));
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => console.log(JSON.stringify({ asked: line, states: states(device) })));
  lines.on('close', () => process.exit(0));
});
