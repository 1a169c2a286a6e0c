"""Box 12: what to send with a bug."""

from __future__ import annotations

import os
import platform
import resource
from typing import TYPE_CHECKING

from relay import __version__
from relay.admin.page.html import Html, box, code, element
from relay.wording import as_duration, as_size

if TYPE_CHECKING:
    from relay.admin.protocols import Relay


def about_box(relay: Relay) -> Html:
    """Return version, machine and process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    uptime = relay.status.uptime
    facts = (
        ("version", f"{__version__}, {relay.hotpath.name} hot path, Python {platform.python_version()}"),
        ("process", f"worker {os.getpid()}, up {as_duration(uptime)}"),
        ("CPU", f"{used:.0f} s, {100 * used / max(uptime, 1.0):.1f} % of a core since the start"),
        ("memory", f"at most {as_size(usage.ru_maxrss * 1024)}"),
        ("event loop", f"{relay.lag.seconds * 1000:.0f} ms late at the last probe"),
        ("clock", f"{relay.context.ledger.clock_skew:+.1f} s against the cloud"),
    )
    listed = element("dl", *(_fact(word, text) for word, text in facts), class_="facts")
    bundle = element("p", "With a report of a bug send the file of ", code("statsd-relay bundle"), ".")
    return box("about", "About", listed, bundle)


def _fact(word: str, text: str) -> Html:
    return element("div", element("dt", word), element("dd", text))
