"""What the elements of `[[rule]]` and `[[tee]]` must be beyond their types."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.config.rules import is_legal_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.config.schema import Config, Rule

_HOST: Final = re.compile(r"(?=.{1,253}$)[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_.])?")
_PORT_MAX: Final = 65_535


class Fault(NamedTuple):
    """What is wrong with one key of an element, or with the element as a whole."""

    key: str
    """`rule.2.match`, or `rule.2`."""
    message: str
    fix: str = ""
    code: str = "RLY102"


def find_faults(config: Config) -> Iterator[Fault]:
    """Yield every fault."""
    for number, rule in enumerate(config.rule, 1):
        yield from _of_rule(f"rule.{number}", rule)
    for number, tee in enumerate(config.tee, 1):
        try:
            parse_target(tee.to)
        except ValueError as error:
            yield Fault(f"tee.{number}.to", str(error))


def parse_target(text: str) -> tuple[str, int]:
    """Read `HOST:PORT` or `[IPv6]:PORT`; HOST is an address or a name.

    Raises:
        ValueError: with the rule.
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_host = _is_ipv6(bare) if host != bare else _HOST.fullmatch(host)
    if not (is_host and port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise ValueError(f'must be HOST:PORT, such as 127.0.0.1:8125 or [::1]:8125, not "{text}"')
    return bare, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        return ip_address(text.partition("%")[0]).version == 6
    except ValueError:
        return False


def _of_rule(key: str, rule: Rule) -> Iterator[Fault]:
    if bool(rule.match) == bool(rule.regex):
        yield Fault(key, "must have either match or regex", 'for every name: match = "**"')
    if rule.namespace and not (is_legal_key(rule.namespace) and len(rule.namespace) <= limits.NAME_BYTES):
        yield Fault(f"{key}.namespace", f"must be letters, digits, dots and underscores, at most {limits.NAME_BYTES}")
    for name in (*rule.tags, *rule.rename_tags.values()):
        if not is_legal_key(name):
            where = "tags" if name in rule.tags else "rename_tags"
            yield Fault(f"{key}.{where}", f'has a key "{name}": it must be letters, digits, dots and underscores')
