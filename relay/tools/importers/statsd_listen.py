"""Converts the servers of the reference, in its top-level options or in `servers`, and its management port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.config.addresses import is_address, join_address
from relay.tools.importers.readers.literals import is_truthy
from relay.tools.importers.readers.tree import Node, Opaque
from relay.tools.importers.report import Option, changed, ok

if TYPE_CHECKING:
    from relay.tools.importers.option_reader import OptionReader

_PORT: Final = "8125"
_EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - as the reference does without an address
_OF_ONE_SERVER: Final = ("server", "port", "address", "address_ipv6", "socket", "socket_mod")
_LOOPBACK: Final = {"localhost": "127.0.0.1", "ip6-localhost": "::1"}
_MODE_MOST: Final = 0o777


def convert(reader: OptionReader) -> None:
    """Convert the servers and the management port."""
    servers = reader.read("servers")
    top = {name: node for name in _OF_ONE_SERVER if (node := reader.read(name))}
    if servers is None:
        _server(reader, "", top)
    elif reader.constant("servers", servers, "listen: only its own program can say where; udp 0.0.0.0:8125 is written"):
        for name, node in top.items():
            reader.report("dropped", name, node, "the reference does not use it beside servers")
        for number, server in enumerate(servers.items):
            _server(
                reader,
                f"servers[{number}].",
                {name: node for name, node in server.members.items() if node.value is not None},
            )
    if not any(reader.builder.get(f"listen.{kind}") for kind in ("udp", "tcp", "unix")):
        reader.builder.set("listen.udp", [f"0.0.0.0:{_PORT}"])
    elif not reader.builder.get("listen.udp"):
        reader.builder.set("listen.udp", [])
    _management(reader)


def _server(reader: OptionReader, name: str, options: dict[str, Node]) -> None:
    kind = options.get("server")
    form = str(kind.value) if kind and not isinstance(kind.value, Opaque) else "./servers/udp"
    if kind and isinstance(kind.value, Opaque):
        reader.report("by hand", f"{name}server", kind, "udp is written: only its own program can say what it is")
    if form.endswith("/tcp") and "socket" in options:
        _socket(reader, name, options)
    elif form.endswith(("/udp", "/tcp")):
        _address(reader, name, options, "tcp" if form.endswith("/tcp") else "udp")
    else:
        for option in options.keys() & {*_OF_ONE_SERVER}:
            became = "no server of the reference; listen takes udp, tcp and unix"
            reader.report("by hand", f"{name}{option}", options[option], became)
    for option in options.keys() - {*_OF_ONE_SERVER}:
        reader.report("by hand", f"{name}{option}", options[option], "not an option of a server")


def _address(reader: OptionReader, name: str, options: dict[str, Node], kind: str) -> None:
    port, address = options.get("port"), options.get("address")
    port_text = reader.text(f"{name}port", port, _PORT) if port else _PORT
    port_text = _PORT if port_text in ("", "0", "False") else port_text
    is_ipv6 = _is_true(options.get("address_ipv6"))
    hosts = (
        [_host(reader, f"{name}address", address)] if address else [_EVERY_IPV4, "::"][: 1 + (is_ipv6 or kind == "tcp")]
    )
    if is_ipv6 and hosts == [_LOOPBACK["localhost"]]:
        hosts = [_LOOPBACK["ip6-localhost"]]
    written = [join_address(host, port_text) for host in hosts]
    for text in written:
        reader.builder.add(f"listen.{kind}", text, port or address)
    for option in ("server", "port", "address", "address_ipv6"):
        node = options.get(option)
        if node and not isinstance(node.value, Opaque):
            reader.report("ok", f"{name}{option}", node, f"listen.{kind} = {' and '.join(written)}")
    if not address:
        reader.report("ok", f"{name}address", None, "every address, as it was")
    for option in options.keys() & {"socket", "socket_mod"}:
        reader.report("dropped", f"{name}{option}", options[option], "the reference uses it with ./servers/tcp alone")


def _host(reader: OptionReader, name: str, node: Node) -> str:
    text = reader.text(name, node, _EVERY_IPV4)
    text = _LOOPBACK.get(text, text).removeprefix("[").removesuffix("]")
    if not is_address(text) and not isinstance(node.value, Opaque):
        reader.report("by hand", name, node, "0.0.0.0: listen takes an address, not a name")
        return _EVERY_IPV4  # every address, so that no traffic is missed
    return text


def _is_true(node: Node | None) -> bool:
    return node is not None and not isinstance(node.value, Opaque) and is_truthy(node.value)


def _socket(reader: OptionReader, name: str, options: dict[str, Node]) -> None:
    socket, mode = options["socket"], options.get("socket_mod")
    path = reader.text(f"{name}socket", socket, "/run/statsd.socket")
    if path.startswith(("/", "$")):
        reader.builder.add("listen.unix", f"stream:{path}", socket)
        if not isinstance(socket.value, Opaque):
            reader.report("ok", f"{name}socket", socket, f'listen.unix = ["stream:{path}"]')
    else:
        reader.report("by hand", f"{name}socket", socket, "listen.unix takes absolute paths: stream:PATH")
    if mode is None:
        reader.report(
            "changed", f"{name}socket_mod", None, 'listen.unix_mode = "0666", the default: everybody may send'
        )
    else:
        _mode(reader, f"{name}socket_mod", mode)
    for option in ("port", "address", "address_ipv6"):
        if option in options:
            reader.report("dropped", f"{name}{option}", options[option], "the reference does not use it beside socket")


def _mode(reader: OptionReader, name: str, node: Node) -> None:
    """Convert the mode of the socket as Node's chmod reads it: a number is the mode itself, a text is octal."""
    value = node.value
    text = f"{value:04o}" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else str(value)
    old = reader.builder.get("listen.unix_mode")
    is_mode = text.isdecimal() and set(text) <= set("01234567") and int(text, 8) <= _MODE_MOST
    if isinstance(value, Opaque) or not is_mode:
        reader.report("by hand", name, node, 'listen.unix_mode: permissions in octal such as "0660"')
    elif old and old != text.zfill(4):
        reader.report("by hand", name, node, f'listen.unix_mode is one for all sockets: "{old}" is written')
    else:
        reader.builder.set("listen.unix_mode", text.zfill(4), node)
        reader.report("ok", name, node, f'listen.unix_mode = "{text.zfill(4)}"')


def _management(reader: OptionReader) -> None:
    """Convert the management port; the reference opens it to the network, the relay to its own machine by default."""
    address, port = reader.read("mgmt_address"), reader.read("mgmt_port")
    port_text = reader.text("mgmt_port", port, "8126") if port else "8126"
    host = _host(reader, "mgmt_address", address) if address else "127.0.0.1"
    listen = join_address(host, port_text)
    if address or port:
        reader.builder.set("admin.listen", listen, address or port)
    for name, node in (("mgmt_port", port), ("mgmt_address", address)):
        if node and not isinstance(node.value, Opaque):
            reader.report("ok", name, node, f'admin.listen = "{listen}": same commands, and HTTP')
    if address is None:
        everywhere = f'admin.listen = "0.0.0.0:{port_text}"'
        reader.report(
            "changed", "mgmt_address", None, f"127.0.0.1, not every address; for probes from elsewhere: {everywhere}"
        )
        reader.builder.comment("admin", f'listen = "0.0.0.0:{port_text}"   # if probes come from other machines')


OPTIONS: Final[dict[str, Option]] = {
    "port": ok("`listen.udp`, or `listen.tcp` with `./servers/tcp`"),
    "address": ok("the same; a missing one is `0.0.0.0`, as it was; a name instead of an address: by hand"),
    "address_ipv6": ok("`[::]` too, if there is no address"),
    "server": ok("`./servers/udp`: `listen.udp`; `./servers/tcp`: `listen.tcp`, or `listen.unix` if it has a `socket`"),
    "servers": ok("each of them in `listen.udp`, `listen.tcp` or `listen.unix`"),
    "socket": ok('`listen.unix = ["stream:PATH"]`'),
    "socket_mod": ok("`listen.unix_mode`, one for all sockets; without it everybody may send"),
    "mgmt_port": ok("`admin.listen`: same commands, and HTTP"),
    "mgmt_address": changed("`admin.listen`; a missing one is `127.0.0.1`, not every address"),
}
