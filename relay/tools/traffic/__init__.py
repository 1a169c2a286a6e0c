"""Traffic as a file and as a load: what `capture`, `replay` and `load` are made of; no part of a running relay.

    socket -> recorder -> pcap file -> player -> socket          mix -> player -> socket

`pcap` and `packet` (the file, what is in its packets), `mix` (lines made ahead) and `pace` (when what is due) are pure;
`recording` writes what `recorder` receives, and `lease` lets a running relay send copies. Sockets, waiting and the way
to the relay are handed in by the commands.
"""
