"""The supervisor: it opens the sockets, starts the worker, and keeps both alive.

The process that `statsd-relay run` starts reads no datagram and aggregates nothing. It holds the sockets, so that
whatever happens to the worker (a crash, kill -9, a new release, new addresses) packets wait in the kernel instead of
being refused, and it imports next to nothing, so that there is nothing in it to fail and no memory to speak of. Even
the configuration is read by a child that ends (process.py).

    supervisor.py  signals, messages and ends of children in; starts, signals and the exit code out
    restarts.py    what an unexpected end means: restart at once, later, or give up (pure)
    process.py     fork and exec of the worker, the child that reads the configuration
    messages.py    what the worker says (sd_notify), and who may say it
    log.py         the few lines it logs, in the relay's two formats
"""
