// Sends known totals through hot-shots: argv is HOST PORT plain|buffered.
const { StatsD } = require('hot-shots');

const [host, port, mode] = process.argv.slice(2);
const buffered = mode === 'buffered';
const client = new StatsD({
  host,
  port: Number(port),
  prefix: `hotshots.${mode}.`,
  globalTags: { env: 'test' },
  maxBufferSize: buffered ? 1400 : 0,
  bufferFlushInterval: 20,
  errorHandler: (error) => { throw error; },
});

for (let n = 1; n <= 200; n++) {
  client.increment('hits');
  client.increment('by', 3, { page: `p${n % 2}` });
  client.timing('time', n);
  client.histogram('size', n / 2);
  client.distribution('dist', n);
  client.set('users', `u${n % 9}`);
}
client.decrement('down', 5);
client.gauge('level', 7);
client.gaugeDelta('level', -3);
client.event('deployed', 'version 2');
client.check('alive', client.CHECKS.OK);
setTimeout(() => client.close((error) => { if (error) throw error; }), 100);
