/*
 * The statsd of our web tier.
 * Deployed by hand; see the wiki before you change flushInterval!
 */
{
  // where applications send to
  port: 8125,
  mgmt_port: 8126,
  mgmt_address: '127.0.0.1',

  flushInterval: 10 * 1000,           // ms
  percentThreshold: [90, 99.5, -10],
  'deleteIdleStats': true,
  gaugesMaxTTL: 30,

  backends: [
    './backends/graphite',
    "./backends/repeater",            // the new one, for the move
  ],
  repeater: [ { host: '10.10.10.10', port: 8125 }, { host: 'observer', port: 8126, }, ],
  repeaterProtocol: 'udp4',

  graphiteHost: process.env.GRAPHITE_HOST || 'graphite.internal',
  graphitePort: 2003,
  graphite: {
    legacyNamespace: false,
    globalPrefix: 'web',
    prefixCounter: "counters",
    /* one branch per machine */
    globalSuffix: require('os').hostname().split('.')[0],
  },

  histogram: [ { metric: 'render', bins: [ 0.01, 0.1, 1, 10, 'inf' ] } ],
  calculatedTimerMetrics: ['count', 'median', 'upper_percent', 'histogram'],
  prefixStats: 'statsd.' + 'web',
  keyFlush: { interval: 60000, percent: 10, log: '/var/log/statsd/keys.log' },
  log: { backend: 'syslog', application: 'statsd', level: 'LOG_WARNING' },
  dumpMessages: false,
  debug: false,
  automaticConfigReload: true,
}
