// Sends known totals through node-statsd: argv is HOST PORT.
const StatsD = require('node-statsd');

const [host, port] = process.argv.slice(2);
const client = new StatsD({ host, port: Number(port), prefix: 'nodestatsd.' });

let left = 0;
const sent = (error) => {
  if (error) throw error;
  left -= 1;
  if (left === 0) client.close();
};
const send = (method, stat, value, tags = []) => { left += 1; client[method](stat, value, 1, tags, sent); };

for (let n = 1; n <= 100; n++) {
  send('increment', 'hits', 1);
  send('timing', 'time', n);
  send('unique', 'users', `u${n % 5}`);
}
send('increment', 'by', 40);
send('decrement', 'down', 2);
send('histogram', 'size', 12.5);
send('gauge', 'level', 3.5);
send('increment', 'tagged', 1, ['env:test', 'live']);
