"""config.js of statsd/statsd: what each of its options becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.config.addresses import join_address
from relay.config.importers import statsd_listen, statsd_numbers
from relay.config.importers.hints import find_variable, is_hostname
from relay.config.importers.reading import Reading
from relay.config.importers.report import Option, changed, dropped, ok, plain, shown
from relay.config.importers.tree import Opaque

if TYPE_CHECKING:
    from relay.config.importers.draft import Draft
    from relay.config.importers.javascript import Module
    from relay.config.importers.report import Verdict
    from relay.config.importers.tree import Node

DAEMON: Final = "statsd/statsd"
_CLOUD: Final = "points go to [cloud] instead"
_NESTED: Final = ("graphite", "log", "keyFlush", "console")
_LEVELS: Final = {
    "LOG_EMERG": "error", "LOG_ALERT": "error", "LOG_CRIT": "error", "LOG_ERR": "error", "LOG_WARNING": "warning",
    "LOG_NOTICE": "info", "LOG_INFO": "info", "LOG_DEBUG": "debug",
}  # fmt: skip
_PREFIXES: Final = {
    "graphite.globalPrefix": "names.prefix",
    "graphite.prefixCounter": "names.counter_prefix",
    "graphite.prefixTimer": "names.timer_prefix",
    "graphite.prefixGauge": "names.gauge_prefix",
    "graphite.prefixSet": "names.set_prefix",
}


def convert(module: Module, draft: Draft) -> None:
    """Write everything that a config.js says into a draft."""
    for statement in module.statements:
        draft.say(
            "by hand", statement, shown("", statement.value), "a statement, not read: does it change the configuration?"
        )
    reading = Reading(module.config, draft, _NESTED)
    statsd_listen.convert(reading)
    statsd_numbers.convert(reading)
    backends = _backends(reading)
    _targets(reading, is_used=any(name.endswith("/repeater") for name in backends))
    _names(reading, is_graphite=any(name.endswith("/graphite") for name in backends))
    reading.finish(OPTIONS)


def _backends(reading: Reading) -> list[str]:
    backends = reading.take("backends")
    if backends is None:
        return ["./backends/graphite"]
    names = [str(plain(item)) for item in backends.items]
    for item, name in zip(backends.items, names, strict=True):
        verdict: Verdict = "dropped"
        became = f"{_CLOUD}; keep the old daemon for it behind [[tee]]"
        if name.endswith("/repeater"):
            verdict, became = "ok", "[[tee]]"
        elif name.endswith("/console"):
            became = "statsd-relay run --dry-run prints what is sent"
        reading.draft.say(verdict, item, f"backends {shown('', name)}", became)
    return names


def _targets(reading: Reading, *, is_used: bool) -> None:
    protocol, targets = reading.take("repeaterProtocol"), reading.take("repeater")
    if not is_used:
        for name, node in (("repeater", targets), ("repeaterProtocol", protocol)):
            if node:
                became = "the reference does not use it: backends does not name ./backends/repeater"
                reading.say("dropped", name, node, became)
        return
    for number, target in enumerate(targets.items if targets else ()):
        _target(reading, f"repeater[{number}]", target)
    if protocol and protocol.value == "tcp":
        reading.say("by hand", "repeaterProtocol", protocol, "[[tee]] sends UDP alone: do its targets listen there?")
    elif protocol:
        reading.say("ok", "repeaterProtocol", protocol, "the target's address decides")


def _target(reading: Reading, name: str, target: Node) -> None:
    host, port = target.get("host"), target.get("port")
    if port is None:
        reading.say("by hand", name, target, "a tee needs a host and a port: [[tee]] to")
        return
    host_text = reading.text(f"{name}.host", host, "127.0.0.1") if host else "127.0.0.1"
    port_text = reading.text(f"{name}.port", port, "8125")
    to = join_address(host_text, port_text)
    number = reading.draft.append("tee", {"to": to}, target)
    reading.draft.say("ok", target, f"{name} {to}", f"tee {number}")


def _names(reading: Reading, *, is_graphite: bool) -> None:
    legacy = reading.take("graphite.legacyNamespace")
    is_legacy = legacy is None or legacy.value is not False
    if legacy or is_graphite:
        became = "names have no stats. or stats.timers. before them: the cloud keeps types apart"
        reading.say("changed" if is_legacy else "ok", "graphite.legacyNamespace", legacy, became)
    for name, key in _PREFIXES.items():
        node = reading.take(name)
        if node and is_legacy:
            reading.say("dropped", name, node, "the reference does not use it while legacyNamespace is true")
        elif node:
            _prefix(reading, name, key, node)
    if suffix := reading.take("graphite.globalSuffix"):
        _suffix(reading, suffix)


def _prefix(reading: Reading, name: str, key: str, node: Node) -> None:
    text = reading.text(name, node, "").strip(".")
    if isinstance(node.value, Opaque):
        text = ""  # a prefix that a variable may change is not one to guess
    else:
        reading.say("ok", name, node, f'{key} = "{text}"' if text else "none")
    if text:
        reading.draft.set(key, text, node)


def _suffix(reading: Reading, node: Node) -> None:
    """It tells machines apart, which the dimension `host` does here."""
    name, value = "graphite.globalSuffix", node.value
    if not isinstance(value, Opaque):
        if value:
            reading.draft.set("tags.host", str(value), node)
        became = "tags.host: what tells machines apart is a dimension, not a part of the name" if value else "none"
        reading.say("changed" if value else "ok", name, node, became)
        return
    variable = find_variable(value.text)
    reference = f"${{{variable.name}}}" if variable else "${HOSTNAME}"
    became = f'tags.host, by default what hostname says; or host = "{reference}" (written for you, as a comment)'
    if variable is None and not is_hostname(value.text):
        became = "tags.host, by default what hostname says: only its own program can say what it is"
    else:
        reading.draft.note("tags", f'host = "{reference}"   # instead of what hostname says, which is the default')
    reading.say("by hand", name, node, became)


def _flush_counts(reading: Reading, name: str, node: Node) -> None:
    if node.value is False:
        reading.draft.set("cloud.counter_values", "rate", node)
        reading.say("ok", name, node, 'cloud.counter_values = "rate": counters show what they are per second')
    else:
        reading.say("ok", name, node, "counters show their total")


def _health(reading: Reading, name: str, node: Node) -> None:
    if node.value == "down":
        reading.say("by hand", name, node, 'a relay begins up: say "health down" to its console where a proxy asks')
    else:
        reading.say("ok", name, node, "a relay begins up")


def _debug(reading: Reading, name: str, node: Node) -> None:
    if reading.constant(name, node, 'log.level stays "info"') and node.value:
        reading.draft.set("log.level", "debug", node)
        reading.say("ok", name, node, 'log.level = "debug"')
    elif not isinstance(node.value, Opaque):
        reading.say("ok", name, node, 'log.level stays "info"')


def _log_level(reading: Reading, name: str, node: Node) -> None:
    level = _LEVELS.get(str(node.value))
    if level is None:
        reading.say("by hand", name, node, 'log.level: "debug", "info", "warning" or "error"')
        return
    if level != "info" and not reading.draft.get("log.level"):
        reading.draft.set("log.level", level, node)
    reading.say("ok", name, node, f'log.level = "{level}"')


def _log_backend(reading: Reading, name: str, node: Node) -> None:
    if node.value == "stdout":
        reading.say("ok", name, node, "the log goes to standard error")
    else:
        reading.say(
            "changed",
            name,
            node,
            "the log goes to standard error: whoever runs the relay collects it (journald, docker)",
        )


def _watch(reading: Reading, name: str, node: Node) -> None:
    if node.value is False:
        reading.draft.set("config.watch", value=False, origin=node)
    reading.say("ok", name, node, f"config.watch = {str(node.value is not False).lower()}")


def _sanitize(reading: Reading, name: str, node: Node) -> None:
    if node.value is False:
        reading.say("changed", name, node, "always on: Cloud Monitor takes letters, digits, dots and underscores alone")
    else:
        reading.say("changed", name, node, 'listen.names = "clean", the default; "-" becomes "_" too')


OPTIONS: Final[dict[str, Option]] = {
    **statsd_listen.OPTIONS,
    **statsd_numbers.OPTIONS,
    "prefixStats": dropped(
        "the relay's own counters have their own names, `telemetry.prefix`; none of yours is reserved for it"
    ),
    "keyNameSanitize": changed('`listen.names = "clean"`: always on, and `-` becomes `_` too', _sanitize),
    "flush_counts": ok('`false`: `cloud.counter_values` = `"rate"`; else the total, as is the default', _flush_counts),
    "backends": dropped("repeater: `[[tee]]`; console: `run --dry-run`; any other: points go to `[cloud]`"),
    "repeater": ok("`[[tee]]`, one each"),
    "repeaterProtocol": ok("`udp4`, `udp6`: as the address says; `tcp`: by hand, a tee sends UDP alone"),
    "graphiteHost": dropped(_CLOUD),
    "graphitePort": dropped(_CLOUD),
    "graphitePicklePort": dropped(_CLOUD),
    "graphiteProtocol": dropped(_CLOUD),
    "graphite.legacyNamespace": changed(
        "names have no `stats.` or `stats.timers.` before them: the cloud keeps types apart"
    ),
    "graphite.globalPrefix": ok("`names.prefix`, if `legacyNamespace` is `false` (else the reference ignores it)"),
    "graphite.prefixCounter": ok("`names.counter_prefix`, likewise"),
    "graphite.prefixTimer": ok("`names.timer_prefix`, likewise"),
    "graphite.prefixGauge": ok("`names.gauge_prefix`, likewise"),
    "graphite.prefixSet": ok("`names.set_prefix`, likewise"),
    "graphite.globalSuffix": changed(
        "`tags.host`: what tells machines apart is a dimension; a hostname is its default"
    ),
    "healthStatus": ok("a relay begins `up`; `down`: by hand", _health),
    "automaticConfigReload": ok("`config.watch`", _watch),
    "debug": ok('`log.level = "debug"`', _debug),
    "log.level": ok("`log.level`", _log_level),
    "log.backend": changed("the log goes to standard error, in JSON where that is no terminal", _log_backend),
    "log.application": dropped("journald and docker know whose log it is"),
    "dumpMessages": dropped("nothing is logged per line; a sample of bad lines is"),
    "title": dropped("the process is called statsd-relay"),
    "keyFlush.interval": dropped("no log of busy names; the metric that explodes is named (RLY310)"),
    "keyFlush.percent": dropped("see keyFlush.interval"),
    "keyFlush.log": dropped("see keyFlush.interval"),
    "console.prettyprint": dropped("`run --dry-run` prints what is sent"),
}
