// Sends the plan through one client from npm: argv is CLIENT MODE ADDRESS PREFIX; see tests/integration/matrix.py.
// ADDRESS is HOST PORT joined by a space, or a path.
const net = require('net');

const [client, mode, address, prefix] = process.argv.slice(2);
const [host, port] = address.split(' ');
const times = Array.from({ length: 50 }, (_, n) => n + 1);
const sizes = times.slice(0, 10);
const users = Array.from({ length: 33 }, (_, n) => `u${n % 11}`);
const repeat = (count, send) => { for (let n = 0; n < count; n++) send(); };
const fail = (error) => { if (error) throw error; };

// 'udp buffered' and so on: the first word is the transport.
function hotShots([transport, how]) {
  const { StatsD } = require('hot-shots');
  const where = {
    udp: { host, port: Number(port) },
    udp6: { host, port: Number(port), udpSocketOptions: { type: 'udp6' } },
    tcp: { host, port: Number(port), protocol: 'tcp' },
    uds: { path: address, protocol: 'uds' },
    stream: { protocol: 'stream', stream: transport === 'stream' && net.connect(address) },
  }[transport];
  const dog = new StatsD({
    ...where, prefix: `${prefix}.`, errorHandler: fail,
    maxBufferSize: how === 'buffered' ? 1400 : 0, bufferFlushInterval: 20,
  });
  // One after the other: a Unix socket's queue has room for ten, and what is tried again comes out of order.
  const steps = [];
  const step = (...call) => steps.push(call);
  repeat(100, () => step('increment', 'hits', 1));
  repeat(10, () => step('increment', 'by', 5));
  step('decrement', 'down', 4);
  times.forEach((value) => step('timing', 'time', value));
  sizes.forEach((value) => { step('histogram', 'size', value); step('distribution', 'dist', value); });
  step('gauge', 'level', 10);
  step('gaugeDelta', 'level', -3);
  users.forEach((user) => step('set', 'users', user));
  repeat(3, () => step('increment', 'tagged', 1, { page: 'p1' }));
  step('event', 'deployed', `${prefix}.hits:1|c`, {});
  step('check', 'alive', dog.CHECKS.OK, {});
  const next = (error) => {
    fail(error);
    const [method, ...given] = steps.shift() || [];
    if (method) dog[method](...given, next);
    else dog.close(fail);
  };
  next();
}

function nodeStatsd() {
  const StatsD = require('node-statsd');
  const statsd = new StatsD({ host, port: Number(port), prefix: `${prefix}.` });
  let left = 0;
  const sent = (error) => { fail(error); left -= 1; if (left === 0) statsd.close(); };
  const send = (method, name, value, tags = []) => { left += 1; statsd[method](name, value, 1, tags, sent); };
  repeat(100, () => send('increment', 'hits', 1));
  repeat(10, () => send('increment', 'by', 5));
  send('decrement', 'down', 4);
  times.forEach((value) => send('timing', 'time', value));
  sizes.forEach((value) => send('histogram', 'size', value));
  send('gauge', 'level', 7);
  users.forEach((user) => send('unique', 'users', user));
  repeat(3, () => send('increment', 'tagged', 1, ['page:p1']));
}

function statsdClient([transport]) {
  const StatsD = require('statsd-client');
  const statsd = new StatsD({
    host, port: Number(port), prefix, tcp: transport === 'tcp', ipv6: transport === 'udp6', socketTimeout: 50,
  });
  const plan = () => {
    repeat(transport === 'tcp' ? 99 : 100, () => statsd.increment('hits'));
    repeat(10, () => statsd.increment('by', 5));
    statsd.decrement('down', 4);
    times.forEach((value) => statsd.timing('time', value));
    sizes.forEach((value) => { statsd.histogram('size', value); statsd.distribution('dist', value); });
    statsd.gauge('level', 10);
    statsd.gaugeDelta('level', -3);
    users.forEach((user) => statsd.set('users', user));
    repeat(3, () => statsd.increment('tagged', 1, { page: 'p1' }));
    setTimeout(() => statsd.close(), 300);
  };
  // Over TCP it repeats and loses what is sent before it is connected: one line first.
  if (transport !== 'tcp') { plan(); return; }
  statsd.increment('hits');
  setTimeout(plan, 300);
}

function lynx() {
  const Lynx = require('lynx');
  const statsd = new Lynx(host, Number(port), { scope: prefix, on_error: fail });
  repeat(100, () => statsd.increment('hits'));
  repeat(10, () => statsd.count('by', 5));
  statsd.count('down', -4);
  times.forEach((value) => statsd.timing('time', value));
  statsd.gauge('level', 7);
  users.forEach((user) => statsd.set('users', user));
  setTimeout(() => statsd.close(), 200);
}

({ 'hot-shots': hotShots, 'node-statsd': nodeStatsd, 'statsd-client': statsdClient, lynx })[client](mode.split(' '));
