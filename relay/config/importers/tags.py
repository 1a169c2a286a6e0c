"""Tags and words as other daemons write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from relay.config.rules import is_legal_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.config.importers.draft import Draft
    from relay.config.importers.reading import Reading
    from relay.config.importers.report import Verdict
    from relay.config.importers.tree import Node

_TRUTHS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})


def words(node: Node | None) -> list[str]:
    """Return a list, or a text of words between blanks, as texts."""
    if node is None:
        return []
    texts = [item.text for item in node.items if item.is_scalar]
    return texts if isinstance(node.value, list) else " ".join(texts).split()


def texts(node: Node | None) -> list[str]:
    """Return the items of a list; in a variable it is JSON, or words between blanks or commas."""
    if node is None:
        return []
    if not isinstance(node.value, str):
        return [item.text for item in node.items]
    try:
        parsed = json.loads(node.value)
    except (ValueError, RecursionError):
        parsed = node.value.replace(",", " ").split()
    return [str(item) for item in (parsed if isinstance(parsed, list) else [parsed])]


def is_true(node: Node | None) -> bool:
    """Say whether a truth is on as daemons in Go read it: a text as strconv.ParseBool does, else off."""
    if node is None:
        return False
    return node.value in _TRUTHS if isinstance(node.value, str) else isinstance(node.value, int) and bool(node.value)


def set_tags(reading: Reading, name: str, node: Node, entries: Iterable[str]) -> None:
    """Turn `key:value` into `[tags]`; a bare one is `true`, and what the cloud does not take in a key is rewritten."""
    for entry in entries:
        reading.draft.say(*_set_tag(reading.draft, entry, node, f"{name} {entry}"))


def _set_tag(draft: Draft, entry: str, node: Node, what: str) -> tuple[Verdict, Node, str, str]:
    key, _, given = entry.partition(":")
    legal, value = "".join(char if is_legal_key(char) else "_" for char in key), given or "true"
    if not legal:
        return "by hand", node, what, "a tag needs a key"
    known = draft.get(f"tags.{legal}")
    if known not in (None, value):
        return "by hand", node, what, f'a key has one value, and tags.{legal} is "{known}"'
    draft.set(f"tags.{legal}", value, node)
    return "ok" if legal == key and given else "changed", node, what, f'tags.{legal} = "{value}"'
