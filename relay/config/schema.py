"""Every setting: its key, type, default and one line of help. The names are a contract with users.

The reference (`statsd-relay config example`, `config env`) is generated from here, so nothing can drift. Loading,
precedence and error messages live in loading.py; this file only says what a valid configuration is.
"""

from __future__ import annotations

import socket
from functools import cache
from typing import Annotated, Final, Literal

from msgspec import Struct, field
from msgspec.structs import FieldInfo, fields

from relay import limits
from relay.config.types import Seconds, Secret, Size, given, help_
from relay.model import Kind

# --- schema_lists ----------------------------------------------------------------------------------------------------

# The tables of which a configuration has any number: `[[rule]]` and `[[tee]]`. What they must be: validate_lists.py.


class RuleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What names are to become; of all rules the first that matches a name is followed."""

    match: Annotated[
        str, help_("names, part by part: * is one part, ** at the end is one or more; each is a capture: $1, $2")
    ] = ""
    regex: Annotated[
        str, help_("instead of match: found anywhere in the name unless ^ and $ hold it; groups are $1")
    ] = ""
    type: Annotated[
        Literal["", "counter", "timer", "gauge", "set"], help_("metrics of this type alone; empty: of every type")
    ] = ""
    metric: Annotated[str, help_('what the metric is called, as in "web.$2"; empty: as before')] = ""
    tags: Annotated[dict[str, str], help_('tags to set, as in { service = "$1" }')] = field(default_factory=dict)
    keep_tags: Annotated[list[str], help_("tags of the line that are sent first when there are too many")] = field(
        default_factory=list
    )
    drop_tags: Annotated[list[str], help_('tags of the line to remove; "*": all that are not in keep_tags')] = field(
        default_factory=list
    )
    rename_tags: Annotated[dict[str, str], help_('tags of the line to rename, as in { old = "new" }')] = field(
        default_factory=dict
    )
    namespace: Annotated[str, help_("namespace in Cloud Monitor; empty: that of [cloud]")] = ""
    action: Annotated[Literal["map", "drop"], help_("drop: samples are counted as dropped, and go nowhere")] = "map"


class TeeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a copy of every datagram goes, as it came."""

    to: Annotated[str, help_("HOST:PORT over UDP")] = ""


DELAY_MOST: Final = 0.010
"""Seconds: what "auto" allows, and the most that the receive buffer bears."""
SPREAD_SHARE: Final = 1 / 6
"""Of a window: what "auto" spreads it over."""
_CORES_PER_READER: Final = 4


IDLE_KINDS: Final = {"counters": Kind.COUNTER, "timers": Kind.TIMER, "sets": Kind.SET}
TimerMetric = Literal[
    "count", "count_ps", "count_percent", "lower", "lower_percent", "mean", "mean_percent", "median", "std", "sum",
    "sum_percent", "sum_squares", "sum_squares_percent", "upper", "upper_percent", "histogram",
]  # fmt: skip
"""statsd's words; count, sum, mean, lower and upper are in the timer's own point, whatever is named."""


class ListenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where packets come in."""

    udp: Annotated[list[str], help_("UDP addresses HOST:PORT; [::1] and [::] may be absent from a machine")] = field(
        default_factory=lambda: ["127.0.0.1:8125", "[::1]:8125"]
    )
    tcp: Annotated[list[str], help_("TCP addresses HOST:PORT; lines end in a line feed")] = field(default_factory=list)
    unix: Annotated[
        list[str],
        help_('"dgram:PATH", "stream:PATH" (lines end in a line feed), "datadog:PATH" (a length before each payload)'),
    ] = field(default_factory=list)
    unix_mode: Annotated[str, help_("permissions of Unix sockets: who may write to one may send")] = "0666"
    stream_connections: Annotated[
        int,
        help_(
            "stream connections in all, less where few files may be open (RLY203); beyond, the one idle longest goes"
        ),
    ] = 256
    stream_idle: Annotated[
        Seconds,
        help_('a stream connection that sends nothing for so long is closed; "0s": none is, clients do not notice'),
    ] = Seconds(0)
    line_limit: Annotated[
        Size, help_("longest line of a stream, never longer than a datagram's 65,507 bytes; a longer one is rejected")
    ] = Size(64 * 1024)
    receive_buffer: Annotated[Size, help_("kernel receive buffer asked for, per socket")] = Size(8 * 1024 * 1024)
    receive_delay: Annotated[
        str, help_('how long a reader may let packets gather, "10ms" at most; "auto" is that, given 1 MiB of buffer')
    ] = "auto"
    readers: Annotated[
        Literal["auto"] | int, help_('threads that read each address; "auto" is 1 up to 4 cores (native hot path only)')
    ] = "auto"
    hotpath: Annotated[
        Literal["auto", "native", "python"],
        help_("implementation of the hot path; auto prefers native and warns without"),
    ] = "auto"
    allow: Annotated[list[str], help_("CIDRs that may send; empty: everybody")] = field(default_factory=list)
    dialects: Annotated[
        list[Literal["statsd", "dogstatsd", "graphite", "influx", "librato", "signalfx"]],
        help_("inline tag styles that are understood in names"),
    ] = field(default_factory=lambda: ["statsd", "dogstatsd", "graphite", "influx"])
    gauge_deltas: Annotated[
        bool, help_("true: +n and -n change a gauge; false: a number with a sign is its value, as gostatsd reads it")
    ] = True
    names: Annotated[
        Literal["clean", "strict"],
        help_("clean: rewrite illegal characters of names, keys and values of tags; strict: drop such samples"),
    ] = "clean"

    def unix_permissions(self) -> int:
        """Return the permission bits of Unix sockets."""
        return int(self.unix_mode, 8)

    def delay_seconds(self) -> float:
        """Return how long a reader may let packets gather."""
        return DELAY_MOST if self.receive_delay == "auto" else Seconds.parse(self.receive_delay)

    def reader_count(self, cores: int) -> int:
        """Return the threads of each address on a machine of so many cores."""
        return max(1, cores // _CORES_PER_READER) if isinstance(self.readers, str) else self.readers


class NamesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How metrics are called."""

    prefix: Annotated[str, help_("put before every metric name, with a dot")] = ""
    counter_prefix: Annotated[str, help_("put between prefix and name of counters")] = ""
    timer_prefix: Annotated[str, help_("likewise of timers")] = ""
    gauge_prefix: Annotated[str, help_("likewise of gauges")] = ""
    set_prefix: Annotated[str, help_("likewise of sets")] = ""


class HistogramConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One element of `[window] histogram`."""

    metric: str = ""
    """A part of a metric's name; empty: of every name."""
    bins: list[float | str]
    """Upper limits, ascending, the last maybe "inf"; a sample belongs to the first one that it is less than."""

    def limits(self) -> list[float]:
        """Return the bins as numbers.

        Raises:
            ValueError: with the rule.
        """
        if any(isinstance(limit, str) and limit != "inf" for limit in self.bins):
            raise ValueError('must have numbers or "inf" in bins')
        return [float(limit) for limit in self.bins]


class WindowConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How samples are rolled up."""

    seconds: Annotated[int, help_("length of a window; the cloud charts 60 only")] = 60
    idle_gauges: Annotated[
        str, help_('"keep:DURATION" repeats an idle gauge that long, "keep" for ever, "drop" not at all')
    ] = "keep:1h"
    checkpoint: Annotated[Seconds, help_("how often the open window goes to disk: what a crash may cost")] = Seconds(1)
    idle: Annotated[
        str,
        help_('"none", or "zero": what was active before is sent as 0; "zero:counters,timers,sets": some of these'),
    ] = "none"
    percentiles: Annotated[list[float], help_("of timers, each sent as its own metric NAME.pNN")] = field(
        default_factory=lambda: [95.0]
    )
    percentile_style: Annotated[
        Literal["plain", "statsd"],
        help_("statsd: count_90, mean_90, sum_90, upper_90 (lower_top10 for -10), std and median instead of NAME.pNN"),
    ] = "plain"
    timer_metrics: Annotated[
        list[TimerMetric], help_("of the statsd style; empty: all but count_ps, sum_squares and sum_squares_percent")
    ] = field(default_factory=list)
    histogram: Annotated[
        list[HistogramConfig],
        help_(
            'statsd style: [{ metric = "part of a name", bins = [5, 9.5, "inf"] }], the first that fits; variable: JSON'
        ),
    ] = field(default_factory=list)

    def idle_gauge_ttl(self) -> float:
        """Return how long an idle gauge repeats, in seconds: 0 not at all, infinity for ever."""
        word, _, duration = self.idle_gauges.partition(":")
        if word == "keep":
            return Seconds.parse(duration) if duration else float("inf")
        if word == "drop" and not duration:
            return 0.0
        raise ValueError('must be "drop", "keep" or "keep:DURATION"')

    def idle_kinds(self) -> frozenset[Kind]:
        """Return the classes that are sent as 0 while they are idle."""
        if self.idle == "none":
            return frozenset()
        word, colon, named = self.idle.partition(":")
        wanted = {part.strip() for part in named.split(",")} if colon else {*IDLE_KINDS}
        if word != "zero" or not wanted <= IDLE_KINDS.keys():
            allowed = '"none", "zero" or "zero:" with some of counters, timers, sets'
            raise ValueError(f"must be {allowed}, not {given(self.idle)}")
        return frozenset(IDLE_KINDS[name] for name in wanted)

    def exact_samples(self) -> int:
        """Return how many samples of a timer are kept as they came."""
        return limits.QUANTILE_EXACT_STATSD if self.percentile_style == "statsd" else limits.QUANTILE_EXACT


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps memory bounded."""

    series: Annotated[int, help_("series in one window; more fold into overflow series")] = 50_000
    series_per_metric: Annotated[int, help_("series of one metric")] = 10_000
    memory: Annotated[Size, help_("bound for all tables; at the bound nothing new is kept apart")] = Size(
        512 * 1024 * 1024
    )


class CloudConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where points go."""

    provider: Annotated[
        Literal["jdcloud", "file", "stdout"], help_("file and stdout write the requests instead of sending them")
    ] = "jdcloud"
    file: Annotated[str, help_('path for provider = "file", made readable by this user alone')] = ""
    region: Annotated[str, help_("cn-north-1, cn-east-1, cn-east-2, cn-south-1")] = ""
    namespace: Annotated[str, help_("namespace in Cloud Monitor")] = "statsd"
    endpoint: Annotated[str, help_("URL of putMetricData; plain http only to loopback or an internal endpoint")] = (
        "https://monitor.{region}.jdcloud-api.com/v1/customMetrics"
    )
    output: Annotated[
        Literal["aggregate", "raw"], help_("aggregate: type 2 points; raw: type 1, one metric per statistic")
    ] = "aggregate"
    counter_values: Annotated[
        Literal["total", "samples", "rate"],
        help_("what a counter's point shows: the total, its samples, or per second"),
    ] = "total"
    access_key: Annotated[str, help_("access key id")] = ""
    secret_key: Annotated[Secret, help_("secret of the access key")] = Secret("")
    session_token: Annotated[Secret, help_("token of temporary credentials")] = Secret("")
    access_key_file: Annotated[str, help_("file that holds access_key")] = ""
    secret_key_file: Annotated[str, help_("file that holds secret_key")] = ""
    session_token_file: Annotated[str, help_("file that holds session_token")] = ""
    token_encoding: Annotated[Literal["raw", "base64"], help_("of the session token's header")] = "raw"  # noqa: S105 - not a secret
    profile: Annotated[str, help_("profile of ~/.jdc/config; empty: the current one")] = ""
    signature: Annotated[Literal["v2", "v3"], help_("JDCLOUD2 or JDCLOUD3")] = "v2"
    signature_region: Annotated[str, help_("region in the signature's scope; empty: region")] = ""
    timeout: Annotated[Seconds, help_("for one request")] = Seconds(10)
    connect_timeout: Annotated[Seconds, help_("for its connection")] = Seconds(4)
    concurrency: Annotated[int, help_("requests at the same time")] = 8
    requests_per_minute: Annotated[int, help_("upper bound; the quota of an access key is about 1000 a minute")] = 900
    spread: Annotated[
        str,
        help_('over how long the requests of a window leave, evenly; "auto": a sixth of it'),
    ] = "auto"
    max_age: Annotated[Seconds, help_("older samples are dropped, and older points are not sent")] = Seconds(7 * 86_400)
    on_ambiguous: Annotated[
        Literal["resend", "drop"],
        help_("a request without an answer, which may have been stored: twice, or not at all"),
    ] = "resend"
    ca_file: Annotated[str, help_("PEM file of certificate authorities to trust instead of the system's")] = ""
    proxy: Annotated[str, help_("URL of an HTTP proxy")] = ""

    def spread_seconds(self, window: int) -> float:
        """Return over how many seconds a window of so many seconds is spread."""
        return window * SPREAD_SHARE if self.spread == "auto" else Seconds.parse(self.spread)


class SpoolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests wait until the cloud has them."""

    path: Annotated[
        str,
        help_(
            'a directory; empty: $STATE_DIRECTORY, /var/lib/statsd-relay or ~/.local/state/statsd-relay; "none": memory'
        ),
    ] = ""
    max: Annotated[Size, help_("quota on disk; beyond it the oldest windows are dropped")] = Size(1024**3)
    dead_letters: Annotated[Size, help_("bound of the points the cloud refused; the oldest go first")] = Size(
        64 * 1024 * 1024
    )


class AdminConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The port for people and probes."""

    listen: Annotated[
        str | list[str], help_("ADDRESS:PORT of health and metrics, or a list of them; empty: no admin port")
    ] = "127.0.0.1:8126"
    hosts: Annotated[
        list[str], help_("host names, besides loopback, by which a request may ask for names, lines and settings")
    ] = field(default_factory=list)

    def addresses(self) -> list[str]:
        """Return every ADDRESS:PORT; in a text there may be commas between them, as in a variable."""
        texts = self.listen.split(",") if isinstance(self.listen, str) else self.listen
        return [text.strip() for text in texts if text.strip()]


class TelemetryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The relay's own names."""

    prefix: Annotated[str, help_("names that start with this and a dot are reserved for the relay")] = "statsd_relay"


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the relay says."""

    format: Annotated[Literal["auto", "json", "text"], help_("auto: text on a terminal, else JSON")] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], help_("least important level")] = "info"


class ReloadConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration itself."""

    watch: Annotated[bool, help_("reload when the file's content has changed, looked at every 2 s")] = True


def _default_tags() -> dict[str, str]:
    return {"host": socket.gethostname()}


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; stages receive their own section, never this tree."""

    listen: ListenConfig = field(default_factory=ListenConfig)
    names: NamesConfig = field(default_factory=NamesConfig)
    tags: Annotated[dict[str, str], help_('default dimensions; host is always added unless host = ""')] = field(
        default_factory=_default_tags
    )
    window: WindowConfig = field(default_factory=WindowConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    cloud: CloudConfig = field(default_factory=CloudConfig)
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    rule: list[RuleConfig] = field(default_factory=list)
    tee: list[TeeConfig] = field(default_factory=list)
    admin: AdminConfig = field(default_factory=AdminConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    config: ReloadConfig = field(default_factory=ReloadConfig)
    log: LogConfig = field(default_factory=LogConfig)


@cache
def fields_of(section: type[Struct]) -> tuple[FieldInfo, ...]:
    """Return the fields of a section; to evaluate its annotations each time took half of loading a configuration."""
    return fields(section)
