"""The document around the boxes: head, title, navigation, headers of the answer."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from relay import __version__
from relay.admin.page.html import Html, element, escape, join, link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser sends `Origin: null` with the forms of this page.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "charts.js": "text/javascript",
    "tap.js": "text/javascript",
    "uplot.js": "text/javascript",
    "uplot.css": "text/css",
}
_SCRIPTS: Final = ("uplot.js", "charts.js", "page.js", "tap.js")
_REFRESH_SECONDS: Final = 5
_SHAPES: Final = {
    "problem": ('<path d="M8 1 15.5 15H.5z" fill="%23d93025"/>'),
    "warning": ('<path d="M8 1 15 8 8 15 1 8z" fill="%23e8a317"/>'),
    "ok": ('<circle cx="8" cy="8" r="7" fill="%231e8e3e"/>'),
}
"""The icon has another shape for each level, not only another colour."""


@cache
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the files of the page: name -> content and type. The first call reads them from the disk."""
    folder = files("relay.admin.page") / "static"
    return {name: ((folder / name).read_bytes(), type_) for name, type_ in _STATIC.items()}


@cache
def static_path(name: str) -> str:
    """Return the path of a file; it changes with the content, so that browsers may keep the file."""
    digest = hashlib.sha256(static_files()[name][0]).digest()
    return f"/static/{name}?v={base64.urlsafe_b64encode(digest[:6]).decode()}"


def document(
    *, title: str, level: str, header: Sequence[object], boxes: Sequence[tuple[str, str, Html]], is_paused: bool = False
) -> str:
    """Return the whole document.

    Args:
        title: of the window.
        level: problem, warning or ok: selects the icon.
        header: parts of the first line.
        boxes: anchor, title and HTML of each.
        is_paused: whether the page stays as it is without JavaScript.
    """
    return f"<!doctype html>\n{element('html', _head(title, level, is_paused), _body(header, boxes), lang='en')}\n"


def _head(title: str, level: str, is_paused: bool) -> Html:  # noqa: FBT001 - of `document`
    refresh = element("meta", http_equiv="refresh", content=str(_REFRESH_SECONDS))
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href=Html(_icon(level))),
        element("link", rel="stylesheet", href=static_path("uplot.css")),
        element("link", rel="stylesheet", href=static_path("page.css")),
        *(
            element("script", src=static_path(name), defer=True)
            for name in ("uplot.js", "charts.js", "page.js", "tap.js")
        ),
        "" if is_paused else element("noscript", refresh),
    )


def _icon(level: str) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{_SHAPES[level]}</svg>'
    return "data:image/svg+xml," + escape(svg).replace("#", "%23")


def _body(header: Sequence[object], boxes: Sequence[tuple[str, str, Html]]) -> Html:
    links = [element("li", link(f"#{name}", title)) for name, title, _ in boxes]
    return element(
        "body",
        element("a", "Skip to the content", href="#main", class_="skip"),
        element("header", element("p", join(header, " · "), class_="brand")),
        element("nav", element("ul", *links), aria_label="Boxes"),
        element("p", id="stale", role="status", hidden=True),
        element("main", *(html for _, _, html in boxes), id="main", tabindex="-1"),
        element("footer", _footer()),
    )


def _footer() -> Html:
    paths = ("/metrics", "/-/healthy", "/-/ready", "/api/v1/openapi.json")
    return element("p", join([f"statsd-relay {__version__}", *(link(path, path) for path in paths)], " · "))
