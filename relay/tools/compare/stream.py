"""Reads the relay's closed windows from `GET /api/v1/windows` of its admin port, line by line."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from relay.admin.answers.error import error_sentence
from relay.config.addresses import join_address
from relay.errors import RelayError, reason_of, unreachable
from relay.lines import LineSplitter, whole_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_WINDOW_MOST: Final = 512 * 1024 * 1024
"""Longest line of a window in bytes: a million points."""
_CONNECT: Final = 5.0


@asynccontextmanager
async def watch_windows(host: str, port: int) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Connect to a relay; yield an iterator over its objects, the head first.

    The stream of a running relay has no end, so the end of the stream is an error too.

    Raises:
        RelayError: RLY101, no relay answers, the answer is not a stream of windows, or the relay stops.
    """
    url = f"http://{join_address(host, port)}/api/v1/windows"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            answer = await session.get(url)
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(f"no relay answers on {host}:{port}: {reason_of(error)}") from error
        async with answer:
            if answer.status != 200:
                raise _unreachable(f"{url} answers {answer.status}: {error_sentence(await answer.text())[:200]}")
            yield _objects(answer.content, url)


async def _objects(content: aiohttp.StreamReader, url: str) -> AsyncIterator[dict[str, Any]]:
    lines = LineSplitter(_WINDOW_MOST)
    try:
        async for chunk in content.iter_any():
            for line in whole_lines(lines.receive(chunk)):
                found = json.loads(line)
                if "end" in found:
                    raise _unreachable(f"the relay ended the stream of windows: {found['end']}")
                yield found
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _unreachable(f"{url} broke off: {error}") from error
    raise _unreachable(f"{url} broke off: the relay stopped")


def _unreachable(message: str) -> RelayError:
    return unreachable(message, "start the relay, or name its admin port with --admin, or its configuration with -c")
