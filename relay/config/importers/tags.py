"""Tags and words as other daemons write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.config.rules import is_legal_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.config.importers.reading import Reading
    from relay.config.importers.tree import Node


def words(node: Node | None) -> list[str]:
    """Return a list, or a text of words between blanks, as texts."""
    if node is None:
        return []
    texts = [str(item.value) for item in node.items if item.is_scalar]
    return texts if isinstance(node.value, list) else " ".join(texts).split()


def is_true(node: Node | None) -> bool:
    """Say whether an option is on, as a value or as a variable's text."""
    return node is not None and str(node.value).lower() in ("true", "1", "yes")


def set_tags(reading: Reading, name: str, node: Node, entries: Iterable[str]) -> None:
    """Turn `key:value` into `[tags]`; a bare one is `true`, and what the cloud does not take in a key is rewritten."""
    for entry in entries:
        key, _, value = entry.partition(":")
        legal = "".join(char if is_legal_key(char) else "_" for char in key)
        reading.draft.set(f"tags.{legal}", value or "true", node)
        is_same = legal == key and value
        reading.draft.say(
            "ok" if is_same else "changed", node, f"{name} {entry}", f'tags.{legal} = "{value or "true"}"'
        )
