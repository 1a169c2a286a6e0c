"""Every setting: its key, type, default and one line of help. The names are a contract with users.

`statsd-relay config example` and `config env` are generated from this file. Loading, precedence and error messages are
in loading.py; rules beyond types are in validate.py and validate_lists.py.
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

# --- [[rule]] and [[tee]]: any number of each ------------------------------------------------------------------------


class RuleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New names and tags of metrics; the first rule that matches a name applies."""

    match: Annotated[
        str, help_("Glob: * is one part between dots, ** at the end one or more parts; $1, $2 are their captures")
    ] = ""
    regex: Annotated[
        str, help_("Instead of match: found anywhere in the name, unless ^ and $ anchor it; $1, $2 are its groups")
    ] = ""
    type: Annotated[
        Literal["", "counter", "timer", "gauge", "set"],
        help_("Metric type that the rule applies to; empty: every type"),
    ] = ""
    metric: Annotated[str, help_('New name, as in "web.$2"; empty: the name stays')] = ""
    tags: Annotated[dict[str, str], help_('Tags to set, as in { service = "$1" }; they replace those of the line')] = (
        field(default_factory=dict)
    )
    keep_tags: Annotated[
        list[str], help_("Keys of the line's tags that are sent first if there are more than the API accepts")
    ] = field(default_factory=list)
    drop_tags: Annotated[list[str], help_('Keys of the line\'s tags to remove; "*": all that are not in keep_tags')] = (
        field(default_factory=list)
    )
    rename_tags: Annotated[dict[str, str], help_('Keys of the line\'s tags to rename, as in { old = "new" }')] = field(
        default_factory=dict
    )
    namespace: Annotated[str, help_("Namespace in Cloud Monitor; empty: that of [cloud]")] = ""
    action: Annotated[Literal["map", "drop"], help_("drop: the samples are not sent, and are counted as dropped")] = (
        "map"
    )


class TeeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target that gets a copy of every datagram, unchanged."""

    to: Annotated[str, help_("HOST:PORT that gets a copy of every datagram over UDP")] = ""


DELAY_MOST: Final = 0.010
"""Longest receive delay in seconds; also "auto". The receive buffer holds the packets of that time."""
SPREAD_SHARE: Final = 1 / 6
"""Share of a window over which "auto" spreads its requests."""
_CORES_PER_READER: Final = 4
IDLE_KINDS: Final = {"counters": Kind.COUNTER, "timers": Kind.TIMER, "sets": Kind.SET}
TimerMetric = Literal[
    "count", "count_ps", "count_percent", "lower", "lower_percent", "mean", "mean_percent", "median", "std", "sum",
    "sum_percent", "sum_squares", "sum_squares_percent", "upper", "upper_percent", "histogram",
]  # fmt: skip
"""statsd's words; count, sum, mean, lower and upper are always in the timer's own point."""


class ListenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses that receive packets, and how they are read."""

    udp: Annotated[
        list[str], help_("UDP addresses HOST:PORT; without IPv6 on the machine [::1] and [::] are skipped")
    ] = field(default_factory=lambda: ["127.0.0.1:8125", "[::1]:8125"])
    tcp: Annotated[list[str], help_("TCP addresses HOST:PORT; each line ends in a line feed")] = field(
        default_factory=list
    )
    unix: Annotated[
        list[str],
        help_('"dgram:PATH", "stream:PATH" (lines end in a line feed), "datadog:PATH" (a length before each payload)'),
    ] = field(default_factory=list)
    unix_mode: Annotated[
        str, help_("Permissions of the Unix sockets in octal; write permission is permission to send")
    ] = "0666"
    stream_connections: Annotated[
        int,
        help_("Most stream connections, fewer if few files may be open (RLY205); then the one idle longest is closed"),
    ] = 256
    stream_idle: Annotated[
        Seconds,
        help_('Idle time after which a stream connection is closed; "0s": never, since clients do not notice a close'),
    ] = Seconds(0)
    line_limit: Annotated[
        Size, help_("Longest line of a stream, 65,507 bytes at most as in a datagram; a longer line is rejected")
    ] = Size(64 * 1024)
    receive_buffer: Annotated[Size, help_("Receive buffer of each socket, as asked of the kernel")] = Size(
        8 * 1024 * 1024
    )
    receive_delay: Annotated[
        str, help_('Most time that a reader lets packets gather, "10ms" at most; "auto": 10 ms if the buffer has 1 MiB')
    ] = "auto"
    readers: Annotated[
        Literal["auto"] | int,
        help_('Reader threads of each address (native hot path only); "auto": 1 for every 4 cores, at least 1'),
    ] = "auto"
    hotpath: Annotated[
        Literal["auto", "native", "python"],
        help_("Implementation of the hot path; auto: native where it is installed, else python with a warning"),
    ] = "auto"
    allow: Annotated[list[str], help_("Networks (CIDR) from which packets are accepted; empty: all")] = field(
        default_factory=list
    )
    dialects: Annotated[
        list[Literal["statsd", "dogstatsd", "graphite", "influx", "librato", "signalfx"]],
        help_("Tag formats that are understood in lines"),
    ] = field(default_factory=lambda: ["statsd", "dogstatsd", "graphite", "influx"])
    gauge_deltas: Annotated[
        bool, help_("true: +n and -n change a gauge; false: they are its value, as in gostatsd")
    ] = True
    names: Annotated[
        Literal["clean", "strict"],
        help_("Illegal characters in names and tags: clean rewrites them, strict drops the sample"),
    ] = "clean"

    def unix_permissions(self) -> int:
        """Return the permission bits of Unix sockets."""
        return int(self.unix_mode, 8)

    def delay_seconds(self) -> float:
        """Return the longest time that a reader lets packets gather."""
        return DELAY_MOST if self.receive_delay == "auto" else Seconds.parse(self.receive_delay)

    def reader_count(self, cores: int) -> int:
        """Return the number of reader threads of each address on a machine with `cores` cores."""
        return max(1, cores // _CORES_PER_READER) if isinstance(self.readers, str) else self.readers


class NamesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prefixes of metric names."""

    prefix: Annotated[str, help_("Prefix of every metric name; a dot follows it")] = ""
    counter_prefix: Annotated[str, help_("Prefix of counters, between names.prefix and the name")] = ""
    timer_prefix: Annotated[str, help_("Prefix of timers, between names.prefix and the name")] = ""
    gauge_prefix: Annotated[str, help_("Prefix of gauges, between names.prefix and the name")] = ""
    set_prefix: Annotated[str, help_("Prefix of sets, between names.prefix and the name")] = ""


class HistogramConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One element of `[window] histogram`."""

    metric: str = ""
    """A part of the metric names that this entry applies to; empty: every name."""
    bins: list[float | str]
    """Upper limits, ascending; the last may be "inf". A sample belongs to the first limit above it."""

    def limits(self) -> list[float]:
        """Return the bins as numbers.

        Raises:
            ValueError: with the rule.
        """
        if any(isinstance(limit, str) and limit != "inf" for limit in self.bins):
            raise ValueError('must have numbers or "inf" in bins')
        return [float(limit) for limit in self.bins]


class WindowConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the samples of a window are rolled up."""

    seconds: Annotated[int, help_("Length of a window in seconds; the cloud charts points of 60 s only")] = 60
    idle_gauges: Annotated[
        str,
        help_('Idle gauges: "keep:DURATION" repeats the last value for that time, "keep" for ever, "drop" not at all'),
    ] = "keep:1h"
    checkpoint: Annotated[
        Seconds,
        help_("Interval between checkpoints of the open window; a crash loses at most the samples of one interval"),
    ] = Seconds(1)
    idle: Annotated[
        str,
        help_('Idle counters, timers, sets: "none" sends nothing, "zero" sends 0; "zero:counters,sets": these types'),
    ] = "none"
    percentiles: Annotated[list[float], help_("Percentiles of timers, each sent as a metric NAME.pNN")] = field(
        default_factory=lambda: [95.0]
    )
    percentile_style: Annotated[
        Literal["plain", "statsd"],
        help_(
            "Timer statistics: plain is NAME.pNN; statsd is NAME.count_90, mean_90, sum_90, upper_90 "
            "(lower_top10 for -10), std, median"
        ),
    ] = "plain"
    timer_metrics: Annotated[
        list[TimerMetric],
        help_("Timer statistics in statsd style; empty: all but count_ps, sum_squares and sum_squares_percent"),
    ] = field(default_factory=list)
    histogram: Annotated[
        list[HistogramConfig],
        help_('Timer histograms in statsd style: [{ metric = "part of a name", bins = [5, "inf"] }]; variable: JSON'),
    ] = field(default_factory=list)

    def idle_gauge_ttl(self) -> float:
        """Return for how many seconds an idle gauge repeats its value: 0 not at all, infinity for ever."""
        word, _, duration = self.idle_gauges.partition(":")
        if word == "keep":
            return Seconds.parse(duration) if duration else float("inf")
        if word == "drop" and not duration:
            return 0.0
        raise ValueError('must be "drop", "keep" or "keep:DURATION"')

    def idle_kinds(self) -> frozenset[Kind]:
        """Return the types of series that are sent as 0 while they are idle."""
        if self.idle == "none":
            return frozenset()
        word, colon, named = self.idle.partition(":")
        wanted = {part.strip() for part in named.split(",")} if colon else {*IDLE_KINDS}
        if word != "zero" or not wanted <= IDLE_KINDS.keys():
            allowed = '"none", "zero" or "zero:" with some of counters, timers, sets'
            raise ValueError(f"must be {allowed}, not {given(self.idle)}")
        return frozenset(IDLE_KINDS[name] for name in wanted)

    def exact_samples(self) -> int:
        """Return the number of samples of a timer up to which its quantiles are exact."""
        return limits.QUANTILE_EXACT_STATSD if self.percentile_style == "statsd" else limits.QUANTILE_EXACT


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of memory."""

    series: Annotated[int, help_("Most series in one window; samples of further series go to overflow series")] = 50_000
    series_per_metric: Annotated[
        int, help_("Most series of one metric; samples of further series go to its overflow series")
    ] = 10_000
    memory: Annotated[
        Size, help_("Memory bound of all tables; at the bound samples of new series go to overflow series")
    ] = Size(512 * 1024 * 1024)


class CloudConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cloud that gets the points, and the requests to it."""

    provider: Annotated[
        Literal["jdcloud", "file", "stdout"],
        help_("Where requests go: jdcloud sends them; file and stdout write them as lines of JSON"),
    ] = "jdcloud"
    file: Annotated[str, help_('Output file of provider = "file", created with mode 0600')] = ""
    region: Annotated[str, help_("Region in Cloud Monitor: cn-north-1, cn-east-1, cn-east-2 or cn-south-1")] = ""
    namespace: Annotated[str, help_("Namespace in Cloud Monitor")] = "statsd"
    endpoint: Annotated[
        str, help_("URL of putMetricData; plain http only to loopback, private addresses and internal endpoints")
    ] = "https://monitor.{region}.jdcloud-api.com/v1/customMetrics"
    output: Annotated[
        Literal["aggregate", "raw"],
        help_("aggregate: one point with all statistics (type 2); raw: one metric per statistic (type 1)"),
    ] = "aggregate"
    counter_values: Annotated[
        Literal["total", "samples", "rate"],
        help_("Value of a counter's point: the total, the number of samples, or the rate per second"),
    ] = "total"
    access_key: Annotated[str, help_("Access key id")] = ""
    secret_key: Annotated[Secret, help_("Secret of the access key")] = Secret("")
    session_token: Annotated[Secret, help_("Session token of temporary credentials")] = Secret("")
    access_key_file: Annotated[str, help_("File that holds the access key id")] = ""
    secret_key_file: Annotated[str, help_("File that holds the secret of the access key")] = ""
    session_token_file: Annotated[str, help_("File that holds the session token")] = ""
    token_encoding: Annotated[Literal["raw", "base64"], help_("Encoding of the session token in its header")] = "raw"  # noqa: S105 - not a secret
    profile: Annotated[str, help_("Profile of ~/.jdc/config; empty: the current one")] = ""
    signature: Annotated[Literal["v2", "v3"], help_("Signature algorithm: v2 is JDCLOUD2, v3 is JDCLOUD3")] = "v2"
    signature_region: Annotated[str, help_("Region in the scope of the signature; empty: cloud.region")] = ""
    timeout: Annotated[Seconds, help_("Timeout of a request")] = Seconds(10)
    connect_timeout: Annotated[Seconds, help_("Timeout of a connection attempt")] = Seconds(4)
    concurrency: Annotated[int, help_("Most requests in flight")] = 8
    requests_per_minute: Annotated[int, help_("Most requests a minute; the quota of an access key is about 1000")] = 900
    spread: Annotated[
        str,
        help_('Time over which the requests of a window are spread; "auto": a sixth of the window'),
    ] = "auto"
    max_age: Annotated[Seconds, help_("Age beyond which samples are dropped and points are not sent")] = Seconds(
        7 * 86_400
    )
    on_ambiguous: Annotated[
        Literal["resend", "drop"],
        help_("Requests without an answer: resend (may be stored twice) or drop (may be lost)"),
    ] = "resend"
    ca_file: Annotated[str, help_("PEM file of the certificate authorities to trust, instead of the system's")] = ""
    proxy: Annotated[str, help_("URL of an HTTP proxy")] = ""

    def spread_seconds(self, window: int) -> float:
        """Return over how many seconds the requests of a window of `window` seconds are spread."""
        return window * SPREAD_SHARE if self.spread == "auto" else Seconds.parse(self.spread)


class SpoolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state directory, in which requests wait until the cloud has stored them."""

    path: Annotated[
        str,
        help_(
            "State directory; empty: $STATE_DIRECTORY, /var/lib/statsd-relay or "
            '~/.local/state/statsd-relay; "none": memory'
        ),
    ] = ""
    max: Annotated[Size, help_("Most bytes of the spool on disk; beyond it the oldest windows are dropped")] = Size(
        1024**3
    )
    dead_letters: Annotated[
        Size, help_("Most bytes of dead letters (points the cloud refused); beyond it the oldest are deleted")
    ] = Size(64 * 1024 * 1024)


class AdminConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin port: health checks, metrics and the console."""

    listen: Annotated[
        str | list[str],
        help_("ADDRESS:PORT of health checks, metrics and the console, or a list of them; empty: no admin port"),
    ] = "127.0.0.1:8126"
    hosts: Annotated[
        list[str], help_("Host names, besides loopback, under which names, lines and settings may be asked for")
    ] = field(default_factory=list)
    history: Annotated[
        Size, help_('Most bytes of sent requests, compressed, kept to show the points of a metric; "0": none are kept')
    ] = Size(8 * 1024 * 1024)
    token_file: Annotated[
        str, help_("File with the token of changes, made if it is missing; empty: admin-token in the state directory")
    ] = ""

    def addresses(self) -> list[str]:
        """Return every ADDRESS:PORT; a text is split at commas, as in a variable."""
        texts = self.listen.split(",") if isinstance(self.listen, str) else self.listen
        return [text.strip() for text in texts if text.strip()]


class TelemetryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The relay's own figures."""

    prefix: Annotated[
        str, help_("Prefix of the relay's own metrics; names that start with it and a dot are reserved")
    ] = "statsd_relay"
    to_cloud: Annotated[
        bool, help_("Whether each window has points of the relay's own figures; alert on missing data of PREFIX.up")
    ] = True


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The relay's log."""

    format: Annotated[
        Literal["auto", "json", "text"], help_("Format of the log; auto: text on a terminal, else JSON")
    ] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], help_("Lowest level that is logged")] = "info"


class ReloadConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the configuration is reloaded."""

    watch: Annotated[bool, help_("Reload when the content of the file changes; it is checked every 2 s")] = True


def _default_tags() -> dict[str, str]:
    return {"host": socket.gethostname()}


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; stages receive their own section, never this tree."""

    listen: ListenConfig = field(default_factory=ListenConfig)
    names: NamesConfig = field(default_factory=NamesConfig)
    tags: Annotated[dict[str, str], help_('Tags of every series; host is added unless host = ""')] = field(
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
    """Return the fields of a section; cached, since evaluating annotations took half the time of loading."""
    return fields(section)
