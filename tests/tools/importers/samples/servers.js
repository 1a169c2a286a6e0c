'use strict';
const os = require('os');
const port = 8000 + 125;

// Several servers, as of 0.9
module.exports = {
  servers: [
    { server: './servers/udp', address: '0.0.0.0', port },
    { server: "./servers/udp", address_ipv6: true, port: 8127 },
    { server: './servers/tcp', address: 'localhost', port: 8125 },
    { server: './servers/tcp', socket: '/var/run/statsd.sock', socket_mod: 0o660 },
  ],
  mgmt_address: '::1',
  flushInterval: 60e3,
  percentThreshold: 95,
  deleteCounters: false,
  deleteTimers: true,
  deleteSets: true,
  deleteGauges: false,
  flush_counts: false,
  keyNameSanitize: true,
  backends: ['./backends/console'],
  console: { prettyprint: true },
  healthStatus: 'up',
  title: 'statsd-' + os.hostname(),
};
