"""Rules that a value must satisfy beyond its type, one function for each key, and cautions that do not stop a start.

A rule takes the whole configuration and returns "" or the text of the rule with the offending value; a rule about the
elements of a list yields each element that breaks it. The rules do not
know from which file or variable a value comes (loading.py does). Elements of lists of tables: validate_lists.py.
A message about `[cloud]` repeats no value: by mistake any key there may hold a secret.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from ipaddress import ip_address, ip_network
from itertools import pairwise
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from relay import limits
from relay.config import secret_files
from relay.config.addresses import parse_address
from relay.config.schema import DELAY_MOST, ListenConfig
from relay.config.types import given, to_toml
from relay.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relay.config.schema import CloudConfig, Config

    Element = tuple[int, str]
    """Index of an element that breaks a rule, from 0, and the text of the rule."""


# --- rules of [window] -----------------------------------------------------------------------------------------------


def percentiles(config: Config) -> Iterator[Element]:
    """Check the percentiles; only statsd's style defines negative ones, which count from the top."""
    is_statsd = config.window.percentile_style == "statsd"
    for number, value in enumerate(config.window.percentiles):
        if is_statsd and not 0 < abs(value) <= 100:
            yield number, f"must lie between -100 and 100 and not be 0, not {value:g}"
        elif not is_statsd and not 0 < value < 100:
            more = ', unless percentile_style is "statsd"' if -100 <= value < 0 else ""
            yield number, f"must lie between 0 and 100{more}, not {value:g}"


def histogram(config: Config) -> Iterator[Element]:
    """Check that the limits of bins ascend: others would always be empty.

    An entry without bins is legal; it exempts the timers that it matches.
    """
    for number, one in enumerate(config.window.histogram):
        try:
            limits = one.limits()
        except ValueError as error:
            yield number, f"entry {number + 1} {error}"
            continue
        if not all(low < high for low, high in pairwise([-inf, *limits])):
            yield number, f"entry {number + 1} must have bins whose limits ascend, not {given(one.bins)}"


def _histogram_style(config: Config) -> str:
    return _with_statsd(bool(config.window.histogram), config)


def timer_metrics(config: Config) -> str:
    """Refuse the key where it would have no effect: without percentile_style = "statsd"."""
    return _with_statsd(bool(config.window.timer_metrics), config)


def _with_statsd(is_set: bool, config: Config) -> str:  # noqa: FBT001 - private
    style = config.window.percentile_style
    return f'needs percentile_style = "statsd", not {to_toml(style)}' if is_set and style != "statsd" else ""


def parsed(parse: Callable[[Config], object]) -> Callable[[Config], str]:
    """Return a rule that fails with the message of `parse` if that raises ValueError."""

    def rule(config: Config) -> str:
        try:
            parse(config)
        except ValueError as error:
            return str(error)
        return ""

    return rule


_LEGAL: Final = re.compile(r"[0-9A-Za-z._]+")
_HOST: Final = re.compile(r"[0-9A-Za-z._-]+|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]+")
_READERS_MOST: Final = 64
_WINDOW_MOST: Final = 3600
_UNIX_FORMS: Final = ("dgram", "stream", "datadog")
_UNIX_PATH_MOST: Final = 107
"""unix(7): sun_path has 108 bytes, the last one is the terminating NUL."""
_MODE: Final = re.compile(r"0?[0-7]{3}")
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
REGIONS: Final = ("cn-north-1", "cn-east-1", "cn-east-2", "cn-south-1")


def _addresses(read: Callable[[Config], list[str]]) -> Callable[[Config], Iterator[Element]]:
    """Return a rule for a list of ADDRESS:PORT."""

    def rule(config: Config) -> Iterator[Element]:
        for number, text in enumerate(read(config)):
            try:
                parse_address(text)
            except ValueError as error:
                yield number, str(error)

    return rule


def _anywhere(config: Config) -> str:
    listen = config.listen
    return "" if listen.udp or listen.tcp or listen.unix else "must name at least one address, here or in tcp or unix"


def _unix(config: Config) -> Iterator[Element]:
    for number, entry in enumerate(config.listen.unix):
        form, _, path = entry.partition(":")
        size = len(path.encode())
        if form not in _UNIX_FORMS or not path.startswith("/"):
            yield number, f'"{entry}" must be dgram:PATH, stream:PATH or datadog:PATH with an absolute path'
        elif size > _UNIX_PATH_MOST:
            yield number, f"{given(entry)} must have a path of at most {_UNIX_PATH_MOST} bytes, not {size}"


def _unix_paths(config: Config) -> str:
    counts = Counter(entry.partition(":")[2] for entry in config.listen.unix)
    path, times = max(counts.items(), key=itemgetter(1), default=("", 0))
    return f"must name each path once; {given(path)} is there {times} times" if times > 1 else ""


def _unix_mode(config: Config) -> str:
    mode = config.listen.unix_mode
    rule = f'must be permissions in octal such as "0666" or "0660", not {given(mode)}'
    return "" if _MODE.fullmatch(mode) else rule


def _hosts(config: Config) -> Iterator[Element]:
    for number, host in enumerate(config.admin.hosts):
        if not _HOST.fullmatch(host):
            yield number, f'"{host}" must be a host name or an address, without a port'


def _networks(config: Config) -> Iterator[Element]:
    for number, text in enumerate(config.listen.allow):
        try:
            ip_network(text, strict=False)
        except ValueError:
            yield number, f'"{text}" must be a network such as 10.0.0.0/8'


def _receive_delay(config: Config) -> str:
    asked = given(config.listen.receive_delay)
    rule = f'must be "auto" or a duration up to "{DELAY_MOST * 1000:g}ms", not {asked}'
    try:
        return "" if config.listen.delay_seconds() <= DELAY_MOST else rule
    except ValueError:
        return rule


def _readers(config: Config) -> str:
    if 1 <= config.listen.reader_count(1) <= _READERS_MOST:
        return ""
    cores = os.cpu_count() or 1
    here = f'"auto" is {ListenConfig().reader_count(cores)} on this machine, which has {cores} core{"s" * (cores != 1)}'
    return f'must be "auto" or between 1 and {_READERS_MOST}, not {given(config.listen.readers)}; {here}'


def _between(table: str, key: str, low: float, high: float) -> Callable[[Config], str]:
    def rule(config: Config) -> str:
        value: Any = getattr(getattr(config, table), key)
        if low <= value <= high:
            return ""
        # Values in the unit of the key: "1h" for a duration, "1MiB" for a size.
        least, most, asked = (given(type(value)(figure)).strip('"') for figure in (low, high, value))
        return f"must be between {least} and {most}, not {asked}"

    return rule


def _spread(config: Config) -> str:
    seconds = min(max(config.window.seconds, 1), _WINDOW_MOST)
    rule = f'must be "auto" or a duration no longer than the window of {seconds}s, such as "10s"'
    try:
        return "" if config.cloud.spread_seconds(seconds) <= seconds else rule
    except ValueError:
        return rule


def _idle_gauges(config: Config) -> str:
    try:
        config.window.idle_gauge_ttl()
    except ValueError:
        asked = given(config.window.idle_gauges)
        return f'must be "drop", "keep" or "keep:DURATION" such as "keep:1h", at most "keep:36500d", not {asked}'
    return ""


def _legal(table: str, key: str, *, empty: bool) -> Callable[[Config], str]:
    def rule(config: Config) -> str:
        value: str = getattr(getattr(config, table), key)
        if (empty and not value) or (_LEGAL.fullmatch(value) and len(value) <= limits.NAME_BYTES):
            return ""
        rule = f"must be letters, digits, dots and underscores, at most {limits.NAME_BYTES}"
        if table == "cloud":  # the value may be a misplaced secret
            return rule
        return f"{rule}, not {given(value)}" + (f" with {len(value)}" if len(value) > limits.NAME_BYTES else "")

    return rule


def is_legal_key(key: str) -> bool:
    """Say whether a key of a tag is legal for the API, so that it can be sent unchanged."""
    return _LEGAL.fullmatch(key) is not None


# --- rules of [cloud] ------------------------------------------------------------------------------------------------

# Values that become part of a header, a signature, a URL or a path. One that breaks a rule would fail at every request,
# so it is refused at the start.

_REGION: Final = re.compile(r"[0-9A-Za-z._-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
REGION_RULE: Final = "must be letters, digits, dots, underscores and dashes, such as cn-north-1"


def is_region(text: str) -> bool:
    """Say whether a text can be part of a host name and of the credential scope of a signature."""
    return _REGION.fullmatch(text) is not None


def _credential(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "" if secret_files.is_legal(read(config.cloud)) else secret_files.RULE


def _region(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "" if is_region(read(config.cloud)) else REGION_RULE


def _path(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "must be without control characters" if _CONTROL.search(read(config.cloud)) else ""


def _proxy(config: Config) -> str:
    proxy, rule = config.cloud.proxy, "must be a URL such as http://HOST:PORT, with or without user and password"
    try:
        parts = urlsplit(proxy)
        has_place = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return rule
    return "" if not proxy or (has_place and secret_files.is_legal(proxy)) else rule


def _endpoint(config: Config) -> str:
    """Check the URL; plain http would show every metric to the network, so it is allowed for trusted hosts only."""
    try:
        parts = urlsplit(config.cloud.endpoint.replace("{region}", config.cloud.region or "region"))
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "must be a URL"
    is_plain = secret_files.is_legal(config.cloud.endpoint) and " " not in config.cloud.endpoint
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not is_plain:
        return "must be an http or https URL with a host and without credentials"
    if parts.scheme == "http" and not is_trusted_host(host):
        return "must be https: plain http is for loopback, private addresses and monitor.internal.* only"
    return ""


def is_trusted_host(host: str) -> bool:
    """Say whether plain http is allowed: loopback, a private address, an internal endpoint or a name without a dot."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host or ".internal." in f".{host}"


_stream_idle: Final = _between("listen", "stream_idle", 0.1, 86_400)
RULES: Final[dict[str, Callable[[Config], str]]] = {
    "listen.udp": _anywhere,
    "listen.unix": _unix_paths,
    "listen.unix_mode": _unix_mode,
    "listen.stream_connections": _between("listen", "stream_connections", 1, 10_000),
    "listen.stream_idle": lambda config: _stream_idle(config) if config.listen.stream_idle else "",
    "listen.line_limit": _between("listen", "line_limit", 64, 65_536),
    "listen.receive_buffer": _between("listen", "receive_buffer", 4096, 2**30),
    "listen.receive_delay": _receive_delay,
    "listen.readers": _readers,
    "names.prefix": _legal("names", "prefix", empty=True),
    "names.counter_prefix": _legal("names", "counter_prefix", empty=True),
    "names.timer_prefix": _legal("names", "timer_prefix", empty=True),
    "names.gauge_prefix": _legal("names", "gauge_prefix", empty=True),
    "names.set_prefix": _legal("names", "set_prefix", empty=True),
    "window.seconds": _between("window", "seconds", 1, _WINDOW_MOST),
    "window.idle_gauges": _idle_gauges,
    "window.checkpoint": _between("window", "checkpoint", 0.05, 15),
    "window.histogram": _histogram_style,
    "window.timer_metrics": timer_metrics,
    "window.idle": parsed(lambda config: config.window.idle_kinds()),
    "limits.series": _between("limits", "series", 10, 10_000_000),
    "limits.series_per_metric": _between("limits", "series_per_metric", 1, 10_000_000),
    "limits.memory": _between("limits", "memory", 2**20, 2**40),
    "cloud.access_key": _credential(lambda cloud: cloud.access_key),
    "cloud.secret_key": _credential(lambda cloud: cloud.secret_key.reveal()),
    "cloud.session_token": _credential(lambda cloud: cloud.session_token.reveal()),
    "cloud.access_key_file": _path(lambda cloud: cloud.access_key_file),
    "cloud.secret_key_file": _path(lambda cloud: cloud.secret_key_file),
    "cloud.session_token_file": _path(lambda cloud: cloud.session_token_file),
    "cloud.ca_file": _path(lambda cloud: cloud.ca_file),
    "cloud.file": _path(lambda cloud: cloud.file),
    "cloud.profile": _path(lambda cloud: cloud.profile),
    "cloud.region": _region(lambda cloud: cloud.region),
    "cloud.signature_region": _region(lambda cloud: cloud.signature_region),
    "cloud.proxy": _proxy,
    "cloud.namespace": _legal("cloud", "namespace", empty=False),
    "cloud.endpoint": _endpoint,
    "cloud.timeout": _between("cloud", "timeout", 0.1, 300),
    "cloud.connect_timeout": _between("cloud", "connect_timeout", 0.1, 300),
    "cloud.concurrency": _between("cloud", "concurrency", 1, 256),
    "cloud.requests_per_minute": _between("cloud", "requests_per_minute", 1, 1_000_000),
    "cloud.spread": _spread,
    "cloud.max_age": _between("cloud", "max_age", 60, limits.POINT_AGE_MAX),
    "spool.max": _between("spool", "max", 2**20, 2**40),
    "admin.history": _between("admin", "history", 0, 2**30),
    "spool.dead_letters": _between("spool", "dead_letters", 2**16, 2**40),
    "telemetry.prefix": _legal("telemetry", "prefix", empty=False),
}

"""One rule for each key, about its whole value."""
ELEMENT_RULES: Final[dict[str, Callable[[Config], Iterator[Element]]]] = {
    "listen.udp": _addresses(lambda config: config.listen.udp),
    "listen.tcp": _addresses(lambda config: config.listen.tcp),
    "listen.unix": _unix,
    "listen.allow": _networks,
    "window.percentiles": percentiles,
    "window.histogram": histogram,
    "admin.listen": _addresses(lambda config: config.admin.addresses()),
    "admin.hosts": _hosts,
}
"""Rules about the elements of a list, each of which may break them."""


def value_warnings(config: Config) -> list[Problem]:
    """Return warnings about values that are legal but unusual."""
    warnings = region_warnings(config.cloud.region)
    if config.window.seconds != limits.WINDOW_SECONDS:
        message, fix = "window.seconds is not 60: the cloud may not chart such points", "use 60, except in tests"
        warnings.append(Problem(code="RLY102", severity="warning", message=message, fix=fix, key="window.seconds"))
    return warnings


def region_warnings(region: str) -> list[Problem]:
    """Return a warning if a region is legal and not known."""
    if not region or region in REGIONS or not is_region(region):
        return []
    message, fix = "cloud.region is none of the known regions", f"known: {', '.join(REGIONS)}"
    return [Problem(code="RLY102", severity="warning", message=message, fix=fix, key="cloud.region")]


def proxy_warnings(config: Config, environ: Mapping[str, str]) -> list[Problem]:
    """Return a warning if a proxy variable such as HTTPS_PROXY is set but requests are sent without a proxy."""
    host = urlsplit(config.cloud.endpoint.replace("{region}", "region")).hostname or ""
    if config.cloud.provider != "jdcloud" or config.cloud.proxy or is_trusted_host(host):
        return []
    given = [name for name in _PROXIES if environ.get(name)]
    if not given:
        return []
    message = f"{given[0]} is set but not used: only [cloud] proxy sets a proxy"
    return [Problem(code="RLY112", severity="warning", message=message, fix='set [cloud] proxy = "http://HOST:PORT"')]
