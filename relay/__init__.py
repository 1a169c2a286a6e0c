"""statsd-relay: datagrams in, one point per series and minute out, and every line accounted for.

    sockets -> hotpath (parse + fold) -> window close -> naming -> JD Cloud points -> batches -> spool -> sender pool
    per packet    per line              per minute      per identity  per series         per batch           per request
       |            |  once a second                    |               |
       +-> tees     +-> checkpoint                      +-- rules       +-> watchers (admin port)
                        after a death: recovery -> window close

    the supervisor holds the sockets; its child, the worker, does all of the above

    listener/    sockets: datagrams and streams of bytes          tee/         copies of datagrams for other daemons
    hotpath/     parse and fold, in two implementations           window/      when a window ends, and what follows
    naming/      identities become series: rules, tags            jdcloud/     the API as data: points, signing, answers
    delivery/    batches, spool, senders, dead letters, state     admin/       HTTP and a text console for observers
    supervisor/  holds the sockets, starts workers                daemon/      the process; app.py knows the order
    config/      what is valid, and where it comes from           patterns/    what rules are made of: globs, regexes
    tools/       beside a relay: importers, compare, traffic, the local cloud       cli/  one file a command

A stage imports no other stage. daemon/ingest.py is the receiving half, daemon/egress.py the delivering half. The halves
start and stop separately: packets are read before the delivering half is ready. daemon/lifecycle/ covers a worker from
start to exit: inheriting sockets, reload, replacement, recovery, shutdown.

Glossary (one word per thing): datagram, line, sample (one value; a packed line has several), sample rate, tags (as
received), dimensions (as sent), identity (raw name + type + tags), rule (what an identity's name and tags become; a
glob or regex matches, what it matches are captures), series (metric + dimensions + kind + namespace), rollup, partial
(a serialised set of rollups), window, close, checkpoint (the open window on disk), point, batch, attempt, verdict,
spool, lane (of the spool: the live window, or the backlog), lease (a batch in a sender's hands, until done or put
back), tee (a target that gets copies of datagrams), temporary tee (one that a command keeps up), committed (a window
with its points in the spool: it never opens again), dead letter, replay (of dead letters, or of a captured file),
supervisor, worker, hand-over (of the open window to the next worker), rejected (a line we refuse), refused (the cloud
says no for good), dropped (accepted, then lost: counted, with reason).

Invariants, as comments and tests cite them:

    I1   every received line is accepted, an event, or rejected with exactly one reason; a packed line is all or nothing
    I2   a sample belongs to one window, and a window's id is closed once
    I3   merging rollups is commutative, and associative up to rounding; both hot paths give the same
    I4   no request breaks a rule of the API
    I5   the ledger balances to the unit, in any snapshot: what moves between two accounts moves without an await
    I6   the configuration bounds memory; input cannot exceed that bound
    I7   the hot path reads no clock and logs nothing; the native one makes no Python object per line
    I8   the cloud receives at most one distinct value of a (series, window)
    I9   the relay never replies to the sender of a line
    I10  the secret key appears in no log, message, file or repr
"""

__version__ = "0.1.0"
