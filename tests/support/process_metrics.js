// statsd's own arithmetic for one timer: a case as JSON a line in, its timer_data as JSON a line out.
const { process_metrics } = require(process.argv[2]);
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { values, count, percentiles, histogram, wanted, seconds } = JSON.parse(line);
  const metrics = {
    counters: {}, timers: { "web.api": values }, timer_counters: { "web.api": count },
    pctThreshold: percentiles, histogram,
  };
  process_metrics(metrics, wanted, seconds * 1000, 0, (done) => console.log(JSON.stringify(done.timer_data["web.api"])));
});
