"""Builders: from the configuration to the parts. Each part gets its own settings and does not see the configuration.

A start, a reload, and the supervisor's preflight check use this module. So nothing here does I/O, except `open_ingest`,
which opens sockets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from relay import limits
from relay.config.addresses import parse_address
from relay.daemon.ingest import CatchAll, Ingest, IngestSettings
from relay.daemon.lifecycle.changes import renames
from relay.hotpath.factory import choose_name, make_hotpath
from relay.jdcloud.points import PointEncoder
from relay.jdcloud.timers import TimerMetrics
from relay.ledger import Ledger
from relay.listener.addresses import Address, SocketSpec, UnixPath
from relay.model import Kind
from relay.naming import Namer, NamingSettings
from relay.naming.ruleset import Ruleset
from relay.naming.tags import separators
from relay.patterns.regexes import find_re2
from relay.window.idle import IdleSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.clock import Clock
    from relay.config.schema import Config


def make_rules(config: Config) -> Ruleset:
    """Compile the rules; a regex takes a millisecond, so a running relay calls this in a thread.

    A rule with the default namespace is treated as one without a namespace, so that both lead to the same series.
    """
    default = config.cloud.namespace
    rules = [msgspec.structs.replace(rule, namespace="") if rule.namespace == default else rule for rule in config.rule]
    return Ruleset(rules, re2=find_re2() if rules else None)


def make_namer(config: Config, rules: Ruleset, *, ledger: Ledger | None = None) -> Namer:
    """Make a namer; without a ledger its counts are discarded."""
    settings = NamingSettings(
        prefix=config.names.prefix,
        kind_prefixes={kind: getattr(config.names, f"{kind}_prefix") for kind in Kind},
        tags=config.tags,
        dialects=config.listen.dialects,
        strict=config.listen.names == "strict",
        reserved_prefix=config.telemetry.prefix,
        classes_limit=config.limits.series * limits.IDENTITIES_PER_SERIES,
        classes_memory=int(config.limits.memory * limits.CLASSES_SHARE),
    )
    return Namer(settings, rules, ledger=ledger or Ledger())


def make_idle(config: Config, *, before: IdleSeries | None = None, since: Config | None = None) -> IdleSeries:
    """Make the memory of idle series, or reconfigure the present one.

    Args:
        config: the configuration from now on.
        before: the present memory of idle series; it stays, unless series may be renamed.
        since: the configuration until now.
    """
    kinds, limit = config.window.idle_kinds(), config.limits.series
    if before is None or since is None or renames(since, config):
        return IdleSeries(kinds=kinds, limit=limit)
    before.configure(kinds=kinds, limit=limit)
    return before


def make_encoder(config: Config, idle: IdleSeries | None = None) -> PointEncoder:
    """Make the encoder of a closed window's series to points."""
    return PointEncoder(
        namespace=config.cloud.namespace,
        output=config.cloud.output,
        counter_values=config.cloud.counter_values,
        percentiles=config.window.percentiles,
        timer_metrics=_timer_metrics(config) if config.window.percentile_style == "statsd" else None,
        idle=idle if idle and idle.kinds else None,
        requests_per_minute=config.cloud.requests_per_minute,
    )


def _timer_metrics(config: Config) -> TimerMetrics:
    window = config.window
    bins = [(one.metric, one.limits()) for one in window.histogram]
    return TimerMetrics(percentiles=window.percentiles, wanted=window.timer_metrics, histogram=bins)


def ingest_settings(config: Config) -> IngestSettings:
    """Return the settings of ingest.

    Raises:
        RelayError: RLY900, the native hot path is configured and not installed.
    """
    namer = make_namer(config, Ruleset([], re2=None))
    return IngestSettings(
        implementation=choose_name(config.listen.hotpath),
        hotpath={
            "series_limit": config.limits.series,
            "series_per_metric": config.limits.series_per_metric,
            "memory": int(config.limits.memory),
            "window_seconds": config.window.seconds,
            "max_age": float(config.cloud.max_age),
            "idle_gauge_ttl": config.window.idle_gauge_ttl(),
            "exact_samples": config.window.exact_samples(),
            "gauge_deltas": config.listen.gauge_deltas,
            "separators": separators(config.listen.dialects),
            "catch_all": CatchAll((kind, namer.overflow(kind)) for kind in Kind),
        },
        allow=config.listen.allow,
        receive_buffer=int(config.listen.receive_buffer),
        receive_delay=config.listen.delay_seconds(),
        tees=[tee.to for tee in config.tee],
    )


def open_ingest(config: Config, clock: Clock) -> Ingest:
    """Open sockets and make the receiving half on them.

    Raises:
        RelayError: RLY101, an address cannot be bound; RLY900, see `ingest_settings`.
    """
    settings = ingest_settings(config)
    hotpath = make_hotpath(settings.implementation, **settings.hotpath)
    return Ingest.open(settings, wanted_sockets(config)._replace(admin=()), hotpath, clock)


def _addresses(texts: Sequence[str]) -> list[Address]:
    """Parse addresses; beside an IPv4 address, [::] and [::1] are optional, as a machine may lack IPv6."""
    has_ipv4 = any(not text.startswith("[") for text in texts)
    return [Address(*parse_address(text), optional=has_ipv4 and text.startswith(("[::]", "[::1]"))) for text in texts]


def wanted_sockets(config: Config, *, take_over: bool = False) -> SocketSpec:
    """Return the sockets to open; several per address only with several reader threads."""
    native = choose_name(config.listen.hotpath) == "native"
    return SocketSpec(
        udp=_addresses(config.listen.udp),
        receive_buffer=int(config.listen.receive_buffer),
        readers=config.listen.reader_count(os.cpu_count() or 1) if native else 1,
        tcp=_addresses(config.listen.tcp),
        unix=[UnixPath(*text.split(":", 1)) for text in config.listen.unix],
        unix_mode=config.listen.unix_permissions(),
        take_over=take_over,
        admin=admin_addresses(config),
    )


def admin_addresses(config: Config) -> list[Address]:
    """Return the addresses of the admin port."""
    return _addresses(config.admin.addresses())
