r"""HTML as text: elements whose text and attributes are escaped, unless they are HTML already.

Invariant: `escape` is the only function that turns other text into HTML. Every character that could end a text or an
attribute becomes an entity, and every unprintable one an escape (`\x1b`), so that no name, tag or line of a user can
become an element, or reorder what stands beside it.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VOID: Final = frozenset({"br", "input", "link", "meta"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return a value as HTML; HTML stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value)), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Return parts one after another, escaped."""
    return Html(escape(separator).join(map(escape, parts)))


def element(tag: str, *children: object, **attributes: str | bool | None) -> Html:
    """Return an element.

    Args:
        tag: its name, a constant.
        children: text or HTML.
        attributes: `class_` is `class`, `aria_label` is `aria-label`; True: without a value, False and None: left out.
    """
    opening = "".join(_attribute(name, value) for name, value in attributes.items())
    return Html(f"<{tag}{opening}>" if tag in _VOID else f"<{tag}{opening}>{join(children)}</{tag}>")


def _attribute(name: str, value: str | bool | None) -> str:  # noqa: FBT001 - as in HTML
    if value is None or value is False:
        return ""
    word = name.rstrip("_").replace("_", "-")
    return f" {word}" if value is True else f' {word}="{escape(value)}"'


def link(to: str, *children: object) -> Html:
    """Return a link."""
    return element("a", *children, href=to)


def code(*children: object) -> Html:
    """Return text as it is typed or received."""
    return element("code", *children)


def name(text: str) -> Html:
    """Return a metric or a tag of any length, in a column of bounded width."""
    return element("code", text, class_="name")


def box(name: str, title: str, *children: object, note: object = "", class_: str = "") -> Html:
    """Return a section with a heading; `name` is its anchor, `note` one sentence below the heading."""
    heading = element("h2", title, id=f"{name}-title")
    shown = element("p", note, class_="note") if note else ""
    return element(
        "section", heading, shown, *children, id=name, class_=class_ or None, aria_labelledby=f"{name}-title"
    )


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1, class_: str = ""
) -> Html:
    """Return a table that scrolls within the page.

    Args:
        caption: what it shows; screen readers say it.
        heads: titles of the columns.
        rows: cells; the first of each row is its title.
        left: number of columns of words, which are at the left; the others are numbers.
        class_: of the table.
    """
    sides = ["" if number < left else "n" for number in range(len(heads))]
    head = [element("th", text, scope="col", class_=side or None) for text, side in zip(heads, sides, strict=True)]
    body = [_row(cells, sides) for cells in rows]
    shown = element(
        "table",
        element("caption", caption, class_="hidden"),
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_=class_ or None,
    )
    return element("div", shown, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _row(cells: Sequence[object], sides: Sequence[str]) -> Html:
    title, *others = cells
    return element(
        "tr",
        element("th", title, scope="row"),
        *(element("td", cell, class_=side or None) for cell, side in zip(others, sides[1:], strict=True)),
    )
