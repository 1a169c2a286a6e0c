"""The supervisor: it opens the sockets, starts the worker, and restarts it.

`statsd-relay run` starts this process, which reads no datagram and aggregates nothing. It holds the sockets while a
worker ends and another starts (a crash, kill -9, a new release, new addresses), so that packets wait in the kernel. It
imports few modules, to be small and robust. A short-lived child reads the configuration (preflight.py).

    supervisor.py  the event loop: signals, messages and ends of children in; starts, signals and the exit code out
    restarts.py    restart policy: restart at once, later, or give up (pure)
    process.py     fork and exec of the worker
    preflight.py   a child that executes the program on disk once and reads the configuration
    plan.py        the result: all that the supervisor knows of a configuration
    last_good.py   the plan accepted last, and its sockets
    messages.py    messages of the worker
    protocol.py    what passes between the processes: variables, the sending side of sd_notify(3), blocked signals
    log.py         the supervisor's log lines, in the relay's two formats
"""
