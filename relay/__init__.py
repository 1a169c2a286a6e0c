"""statsd-relay: datagrams in, one point per series and minute out, and every line accounted for.

    sockets -> hotpath (parse + fold) -> window close -> naming -> JD Cloud points -> batches -> spool -> sender pool
    per packet    per line              per minute      per identity  per series         per batch           per request

The folders say how often their code runs; app.py is the only place that knows their order.

Glossary (one word per thing): datagram, line, sample (one value; a packed line has several), sample rate, tags (as
received), dimensions (as sent), identity (raw name + type + tags), series (metric + dimensions + kind), rollup,
partial (a serialised set of rollups), window, close, point, batch, attempt, verdict, spool, lease, dead letter,
rejected (a line we refuse), refused (the cloud says no for good), dropped (accepted, then lost: counted, with reason).
"""

__version__ = "0.1.0"
