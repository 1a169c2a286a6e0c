"""Box 10: does my packet come? static/tap.js shows the stream of `GET /api/v1/tap`; without JavaScript, the command."""

from __future__ import annotations

from typing import Final

from relay.admin.page.html import Html, box, code, element

_CHOICES: Final = {"all": "all lines", "rejected": "rejected", "dropped": "dropped", "sent": "sent points"}


def tap_box() -> Html:
    """Return the form, and the list that the script fills."""
    options = [element("option", text, value=value) for value, text in _CHOICES.items()]
    pattern = element("input", type="text", id="tap-glob", placeholder="web.*", autocomplete="off")
    form = element(
        "form",
        element("div", element("label", "Names", for_="tap-glob"), pattern),
        element("div", element("label", "Which", for_="tap-of"), element("select", *options, id="tap-of")),
        element("button", "Start", type="submit", id="tap-start"),
        id="tap-form",
        hidden=True,
    )
    lines = element("div", id="tap-lines", role="log", aria_live="off", aria_label="Lines", tabindex="0")
    total = element("p", id="tap-total", class_="soft", role="status")
    plain = element(
        "noscript", element("p", "The live view needs JavaScript. In a terminal: ", code("statsd-relay tap"))
    )
    return box("tap", "Tap", plain, form, total, lines, note="Lines as they come, with what becomes of each.")
