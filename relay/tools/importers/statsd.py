"""Imports config.js of statsd/statsd."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from relay.config.addresses import is_address, join_address
from relay.tools.importers import statsd_numbers
from relay.tools.importers.option_reader import OptionReader, set_dialects, set_log_level, set_prefix
from relay.tools.importers.readers.javascript import find_env_reference, is_hostname
from relay.tools.importers.readers.literals import is_truthy
from relay.tools.importers.readers.tree import Opaque
from relay.tools.importers.report import Option, changed, dropped, ok, shown

if TYPE_CHECKING:
    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.readers.javascript import Module
    from relay.tools.importers.readers.tree import Node
    from relay.tools.importers.report import Verdict

DAEMON: Final = "statsd/statsd"
_CLOUD: Final = "points go to [cloud] instead"
_NESTED: Final = ("graphite", "log", "keyFlush", "console")
_LEVELS: Final = {
    "LOG_EMERG": "error", "LOG_ALERT": "error", "LOG_CRIT": "error", "LOG_ERR": "error", "LOG_WARNING": "warning",
    "LOG_NOTICE": "info", "LOG_INFO": "info", "LOG_DEBUG": "debug",
}  # fmt: skip
_PREFIXES: Final = {
    "graphite.globalPrefix": ("names.prefix", "stats"),
    "graphite.prefixCounter": ("names.counter_prefix", "counters"),
    "graphite.prefixTimer": ("names.timer_prefix", "timers"),
    "graphite.prefixGauge": ("names.gauge_prefix", "gauges"),
    "graphite.prefixSet": ("names.set_prefix", "sets"),
}
_PORT: Final = "8125"
_EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - as statsd does without an address
_OF_ONE_SERVER: Final = ("server", "port", "address", "address_ipv6", "socket", "socket_mod")
_LOOPBACK: Final = {"localhost": "127.0.0.1", "ip6-localhost": "::1"}
_MODE_MAX: Final = 0o777


def convert(module: Module, builder: ConfigBuilder) -> None:
    """Write all options of a config.js into a builder."""
    reader = OptionReader(module.config, builder, _NESTED)
    set_dialects(builder, "graphite")
    _proxy(reader)
    _listen(reader)
    statsd_numbers.convert(reader)
    backends = _backends(reader)
    _targets(reader, is_used=any(name.endswith("/repeater") for name in backends))
    _names(reader, is_graphite=any(name.endswith("/graphite") for name in backends))
    _drop_backend_options(reader, module.config, backends)
    reader.finish(OPTIONS)
    _report_unread(builder, module)
    if module.fault:
        _report_fault(builder, module.fault)


def _report_fault(builder: ConfigBuilder, fault: Node) -> None:
    """Turn every `ok` into work for a person: statsd cannot run with this file, so its effect is unknown."""
    unchecked = "unchecked, since statsd cannot read this file"
    builder.lines = [
        replace(one, verdict="by hand", became=f"{one.became}: {unchecked}") if one.verdict == "ok" else one
        for one in builder.lines
    ]
    became = f"an error in statsd, which evaluates `config = ` and the file: {fault.text}"
    builder.report("by hand", fault, "the file as a whole", became)


def _report_unread(builder: ConfigBuilder, module: Module) -> None:
    """Report statements that were not read; the defaults of options not set are then uncertain and not listed."""
    spread = [node for name, node in module.config.members.items() if name.startswith("...")]
    for statement in module.statements:
        became = "a statement, not read: does it change the configuration?"
        builder.report("by hand", statement, shown("", statement.value), became)
    if spread or module.statements:
        builder.lines = [entry for entry in builder.lines if entry.line]
        became = "assumed for every option outside the part that was read"
        builder.report("by hand", spread[0] if spread else module.statements[0], "defaults of statsd", became)


def _proxy(reader: OptionReader) -> None:
    """Read the file of statsd's proxy, which has the same form; one relay replaces the proxy and its nodes."""
    if reader.peek("nodes") and (host := reader.read("host")):
        reader.set_default("address", host)
        reader.report("ok", "host", host, "as address: where the proxy listened")


def _listen(reader: OptionReader) -> None:
    """Convert the servers, of the top-level options or of `servers`, and the management port."""
    servers = reader.read("servers")
    top = {name: node for name in _OF_ONE_SERVER if (node := reader.read(name))}
    if servers is None:
        _server(reader, "", top)
    elif reader.require_constant(
        "servers", servers, "listen.udp = 0.0.0.0:8125 is assumed: only Node evaluates this expression"
    ):
        for name, node in top.items():
            reader.report("dropped", name, node, "statsd does not use it beside servers")
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
        reader.report("by hand", f"{name}server", kind, "udp is assumed: only Node evaluates this expression")
    if form.endswith("/tcp") and "socket" in options:
        _socket(reader, name, options)
    elif form.endswith(("/udp", "/tcp")):
        _address(reader, name, options, "tcp" if form.endswith("/tcp") else "udp")
    else:
        for option in options.keys() & {*_OF_ONE_SERVER}:
            became = "no server of statsd; listen accepts udp, tcp and unix"
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
        reader.report("ok", f"{name}address", None, "every address, as before")
    for option in options.keys() & {"socket", "socket_mod"}:
        reader.report("dropped", f"{name}{option}", options[option], "statsd uses it only with ./servers/tcp")


def _host(reader: OptionReader, name: str, node: Node) -> str:
    text = reader.text(name, node, _EVERY_IPV4)
    text = _LOOPBACK.get(text, text).removeprefix("[").removesuffix("]")
    if not is_address(text) and not isinstance(node.value, Opaque):
        reader.report("by hand", name, node, "0.0.0.0: listen accepts an address, not a name")
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
        reader.report("by hand", f"{name}socket", socket, "listen.unix accepts absolute paths: stream:PATH")
    if mode is None:
        reader.report("changed", f"{name}socket_mod", None, 'listen.unix_mode = "0666": every user may send')
    else:
        _mode(reader, f"{name}socket_mod", mode)
    for option in ("port", "address", "address_ipv6"):
        if option in options:
            reader.report("dropped", f"{name}{option}", options[option], "statsd does not use it beside socket")


def _mode(reader: OptionReader, name: str, node: Node) -> None:
    """Convert the mode of the socket as Node's chmod reads it: a number is the mode itself, a text is octal."""
    value = node.value
    text = f"{value:04o}" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else str(value)
    old = reader.builder.get("listen.unix_mode")
    is_mode = text.isdecimal() and set(text) <= set("01234567") and int(text, 8) <= _MODE_MAX
    if isinstance(value, Opaque) or not is_mode:
        reader.report("by hand", name, node, 'listen.unix_mode: permissions in octal such as "0660"')
    elif old and old != text.zfill(4):
        reader.report("by hand", name, node, f'listen.unix_mode is one for all sockets: "{old}" is written')
    else:
        reader.builder.set("listen.unix_mode", text.zfill(4), node)
        reader.report("ok", name, node, f'listen.unix_mode = "{text.zfill(4)}"')


def _management(reader: OptionReader) -> None:
    """Convert the management port; by default statsd opens it to the network, the relay to its own machine."""
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
        became = f'127.0.0.1, not every address; for probes from elsewhere: admin.listen = "0.0.0.0:{port_text}"'
        reader.report("changed", "mgmt_address", None, became)
        reader.builder.comment("admin", f'listen = "0.0.0.0:{port_text}"   # if probes come from other machines')


def _drop_backend_options(reader: OptionReader, config: Node, backends: list[str]) -> None:
    """Drop the options of third-party back ends: their names begin with the name of the back end."""
    for name in config.members:
        owner = next((backend for backend in backends if _is_of(name, backend)), "")
        if owner and name not in OPTIONS and name not in _NESTED and (node := reader.read(name)):
            reader.builder.report("dropped", node, name, f"of the back end {shown('', owner)}, which is replaced")


def _is_of(name: str, backend: str) -> bool:
    words = re.findall(r"[a-z0-9]{4,}", backend.lower())
    return any(name.lower().startswith(word) for word in words if word not in ("statsd", "backend", "backends", "node"))


def _backends(reader: OptionReader) -> list[str]:
    backends = reader.read("backends")
    if backends is None:
        return ["./backends/graphite"]
    names = [item.text if item.is_scalar else shown("", item.value) for item in backends.items]
    for item, name in zip(backends.items, names, strict=True):
        verdict: Verdict = "dropped"
        became = f"{_CLOUD}; keep the old daemon for it behind [[tee]]"
        if name.endswith("/repeater"):
            verdict, became = "ok", "[[tee]]"
        elif name.endswith("/console"):
            became = "statsd-relay run --dry-run prints what is sent"
        reader.builder.report(verdict, item, f"backends {shown('', name)}", became)
    return names


def _targets(reader: OptionReader, *, is_used: bool) -> None:
    protocol, targets = reader.read("repeaterProtocol"), reader.read("repeater")
    if not is_used:
        for name, node in (("repeater", targets), ("repeaterProtocol", protocol)):
            if node:
                became = "statsd does not use it: backends does not name ./backends/repeater"
                reader.report("dropped", name, node, became)
        return
    for number, target in enumerate(targets.items if targets else ()):
        for name in target.members.keys() - {"host", "port"}:
            reader.builder.report(
                "by hand", target.members[name], f"repeater[{number}].{name}", "not an option of a target"
            )
        _target(reader, f"repeater[{number}]", target)
    if protocol and protocol.value == "tcp":
        reader.report("by hand", "repeaterProtocol", protocol, "[[tee]] sends UDP only: do its targets accept UDP?")
    elif protocol:
        reader.report("ok", "repeaterProtocol", protocol, "the target's address decides")


def _target(reader: OptionReader, name: str, target: Node) -> None:
    host, port = target.get("host"), target.get("port")
    if port is None:
        reader.report("by hand", name, target, "a tee needs a host and a port: [[tee]] to")
        return
    host_text = reader.text(f"{name}.host", host, "127.0.0.1") if host else "127.0.0.1"
    port_text = reader.text(f"{name}.port", port, "8125")
    to = join_address(host_text, port_text)
    number = reader.builder.append("tee", {"to": to}, target)
    reader.builder.report("ok", target, f"{name} {to}", f"tee {number}")


def _names(reader: OptionReader, *, is_graphite: bool) -> None:
    legacy = reader.read("graphite.legacyNamespace")
    is_legacy = legacy is None or legacy.value is not False
    if legacy or is_graphite:
        became = "names have no stats. or stats.timers. before them: the cloud keeps types apart"
        reader.report("changed" if is_legacy else "ok", "graphite.legacyNamespace", legacy, became)
    for name, (key, default) in _PREFIXES.items():
        is_given, node = reader.has(name), reader.read(name)
        if node and is_legacy:
            reader.report("dropped", name, node, "statsd does not use it while legacyNamespace is true")
        elif node:
            _prefix(reader, name, key, node)
        elif not is_legacy and not is_given and is_graphite:
            became = f'no "{default}" before names: the cloud keeps types apart; {key} = "{default}" brings it back'
            reader.report("changed", name, None, became, default=default)
    if suffix := reader.read("graphite.globalSuffix"):
        _suffix(reader, suffix)


def _prefix(reader: OptionReader, name: str, key: str, node: Node) -> None:
    given = reader.text(name, node, "")
    if not isinstance(node.value, Opaque):  # a prefix that depends on a variable is not guessed
        set_prefix(reader, name, key, node, given)


def _suffix(reader: OptionReader, node: Node) -> None:
    """Convert the global suffix, which names the machine, to the dimension `host`."""
    name, value = "graphite.globalSuffix", node.value
    if not isinstance(value, Opaque):
        if value:
            reader.builder.set("tags.host", str(value), node)
        became = "tags.host: the machine is a dimension, not a part of the name" if value else "none"
        reader.report("changed" if value else "ok", name, node, became)
        return
    variable = find_env_reference(value.text)
    reference = f"${{{variable.name}}}" if variable else "${HOSTNAME}"
    became = f'tags.host, by default the host name; or host = "{reference}" (written as a comment)'
    if variable is None and not is_hostname(value.text):
        became = "tags.host, by default the host name: only Node evaluates this expression"
    else:
        reader.builder.comment("tags", f'host = "{reference}"   # instead of the host name, the default')
    reader.report("by hand", name, node, became)


def _flush_counts(reader: OptionReader, name: str, node: Node) -> None:
    if not reader.require_constant(name, node, "counters show their total"):
        return
    if not is_truthy(node.value):
        reader.builder.set("cloud.counter_values", "rate", node)
        reader.report("ok", name, node, 'cloud.counter_values = "rate": counters show what they are per second')
    else:
        reader.report("ok", name, node, "counters show their total")


def _health(reader: OptionReader, name: str, node: Node) -> None:
    if node.value == "down":
        reader.report("by hand", name, node, 'a relay starts as up: send "health down" to its admin port')
    else:
        reader.report("ok", name, node, "a relay starts as up")


def _debug(reader: OptionReader, name: str, node: Node) -> None:
    if reader.require_constant(name, node, 'log.level stays "info"') and is_truthy(node.value):
        reader.builder.set("log.level", "debug", node)
        reader.report("ok", name, node, 'log.level = "debug"')
    elif not isinstance(node.value, Opaque):
        reader.report("ok", name, node, 'log.level stays "info"')


def _log_level(reader: OptionReader, name: str, node: Node) -> None:
    set_log_level(reader, name, node, _LEVELS.get(str(node.value)))


def _log_backend(reader: OptionReader, name: str, node: Node) -> None:
    if node.value == "stdout":
        reader.report("ok", name, node, "the log goes to standard error")
    else:
        reader.report("changed", name, node, "the log goes to standard error, where journald or docker collects it")


def _watch(reader: OptionReader, name: str, node: Node) -> None:
    if not reader.require_constant(name, node, "config.watch = true"):
        return
    watches = node.value not in (False, 0, "", "0")  # as with != in JavaScript
    if not watches:
        reader.builder.set("config.watch", value=False, origin=node)
    reader.report("ok", name, node, f"config.watch = {str(watches).lower()}")


def _sanitize(reader: OptionReader, name: str, node: Node) -> None:
    if not isinstance(node.value, Opaque) and not is_truthy(node.value):
        reader.report("changed", name, node, "always on: Cloud Monitor accepts letters, digits, dots, underscores")
    else:
        reader.report("changed", name, node, 'listen.names = "clean", the default; "-" becomes "_" too')


OPTIONS: Final[dict[str, Option]] = {
    "port": ok("`listen.udp`, or `listen.tcp` with `./servers/tcp`"),
    "address": ok("`listen.udp` or `listen.tcp`; default: `0.0.0.0`, as before; a host name: by hand"),
    "address_ipv6": ok("`[::]` too, if there is no address"),
    "server": ok("`./servers/udp`: `listen.udp`; `./servers/tcp`: `listen.tcp`, or `listen.unix` if it has a `socket`"),
    "servers": ok("each of them in `listen.udp`, `listen.tcp` or `listen.unix`"),
    "socket": ok('`listen.unix = ["stream:PATH"]`'),
    "socket_mod": ok("`listen.unix_mode`, one for all sockets; default: every user may send"),
    "mgmt_port": ok("`admin.listen`: same commands, and HTTP"),
    "mgmt_address": changed("`admin.listen`; default: `127.0.0.1`, not every address"),
    **statsd_numbers.OPTIONS,
    "prefixStats": dropped("the relay's own counters begin with `telemetry.prefix`"),
    "keyNameSanitize": changed('`listen.names = "clean"`: always on, and `-` becomes `_` too', _sanitize),
    "flush_counts": ok('`false`: `cloud.counter_values = "rate"`; else the total, which is the default', _flush_counts),
    "backends": dropped("the back end repeater: `[[tee]]`; console: `run --dry-run`; others: points go to `[cloud]`"),
    "repeater": ok("`[[tee]]`, one each"),
    "repeaterProtocol": ok("`udp4`, `udp6`: by the address; `tcp`: by hand, as a tee sends UDP only"),
    "nodes": dropped("of the proxy: one relay replaces the proxy and its nodes"),
    "host": ok("of the proxy: as `address`"),
    "forkCount": dropped("of the proxy: `listen.readers`; one is enough up to 4 cores"),
    "checkInterval": dropped("of the proxy: there are no nodes"),
    "cacheSize": dropped("of the proxy: there are no nodes"),
    "udp_version": ok("of the proxy: by the address"),
    "graphiteHost": dropped(_CLOUD),
    "graphitePort": dropped(_CLOUD),
    "graphitePicklePort": dropped(_CLOUD),
    "graphiteProtocol": dropped(_CLOUD),
    "graphite.legacyNamespace": changed("no `stats.` or `stats.timers.` before names: the cloud keeps types apart"),
    "graphite.globalPrefix": ok("`names.prefix`, if `legacyNamespace` is `false`; else statsd ignores it"),
    "graphite.prefixCounter": ok("`names.counter_prefix`, if `legacyNamespace` is `false`"),
    "graphite.prefixTimer": ok("`names.timer_prefix`, if `legacyNamespace` is `false`"),
    "graphite.prefixGauge": ok("`names.gauge_prefix`, if `legacyNamespace` is `false`"),
    "graphite.prefixSet": ok("`names.set_prefix`, if `legacyNamespace` is `false`"),
    "graphite.globalSuffix": changed("`tags.host`: the machine is a dimension; its default is the host name"),
    "healthStatus": ok("a relay starts as `up`; `down`: by hand", _health),
    "automaticConfigReload": ok("`config.watch`", _watch),
    "debug": ok('`log.level = "debug"`', _debug),
    "log.level": ok("`log.level`", _log_level),
    "log.backend": changed("the log goes to standard error, in JSON where that is no terminal", _log_backend),
    "log.application": dropped("journald and docker name the source of a log"),
    "dumpMessages": dropped("lines are not logged, except examples of bad lines"),
    "title": dropped("the process is called statsd-relay"),
    "keyFlush.interval": dropped("no log of busy names; the metric that explodes is named (RLY310)"),
    "keyFlush.percent": dropped("see keyFlush.interval"),
    "keyFlush.log": dropped("see keyFlush.interval"),
    "console.prettyprint": dropped("of the back end console: `run --dry-run` prints what is sent"),
}
