"""`status --link`: a link that opens the page of the running relay with full access."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from relay.admin.answers.link import LinkAnswer
from relay.cli.running.admin_client import fetch
from relay.cli.running.find import need_relay, say_source
from relay.cli.running.token import find_token
from relay.cli.shared.output import say
from relay.wording import as_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address


def print_link(admin: Sequence[Address] | None, path: Path | None, *, as_json: bool) -> None:
    """Print a new link; the rest is on standard error, so that a script gets the link alone.

    Raises:
        RelayError: no relay answers, this user may not read its token, or it has none.
    """
    relay = need_relay(admin, path)
    answer = fetch(relay.reached(), "/api/v1/links", LinkAnswer, post=b"", token=find_token(relay, path))
    say_source(relay, as_json=as_json)
    if as_json:
        built = {**msgspec.to_builtins(answer), "source": relay.as_json()}
        say(msgspec.json.format(msgspec.json.encode(built)).decode())
        return
    say(answer.url)
    say(f"good once, for {as_duration(answer.seconds)}, in a browser of this machine", err=True)
