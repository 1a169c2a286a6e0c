{
  address: process.env.BIND_ADDRESS || '0.0.0.0'
, port: parseInt(process.env.STATSD_PORT, 10) || 8125
, mgmt_port: process.env['MGMT_PORT']
, percentThreshold: process.env.PERCENT || 95
, backends: [ "./backends/repeater", 'statsd-influxdb-backend' ]
, repeater: [ { host: process.env.OLD_HOST, port: 8125 } ]
, influxdb: { host: 'influx', password: 'hunter2', flush: { enable: true } }
, flush: function (ts, metrics) { return { ts: ts, "}": /[}]/ }; }
, healthStatus: 'down'
}
