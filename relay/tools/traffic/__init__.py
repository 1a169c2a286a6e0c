"""Captures, replays and generates traffic for `capture`, `replay` and `load`; not part of a running relay.

    socket -> recorder -> pcap file -> player -> socket          mix -> player -> socket

Pure: pcap.py and packet.py (the file format and its packets), mix.py (generated lines) and pace.py (schedules).
recorder.py receives datagrams, recording.py writes them, and temporary_tee.py makes a running relay send copies. The
commands pass sockets, waiting and the request to the relay in as arguments.
"""
