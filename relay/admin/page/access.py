"""In place of boxes 3 and 6 to 12, for a client that may not see names: how to see them."""

from __future__ import annotations

from relay.admin.page.html import Html, box, code, element


def access_box() -> Html:
    """Return the ways in."""
    ways = element(
        "ul",
        element("li", "on the relay's machine, open this page under ", code("127.0.0.1")),
        element(
            "li",
            "from elsewhere, open the link that ",
            code("statsd-relay status --link"),
            " prints there; in a container: ",
            code("docker exec NAME statsd-relay status --link"),
        ),
        element(
            "li", "programs send ", code("Authorization: Bearer TOKEN"), " with the content of ", code("admin-token")
        ),
    )
    note = "Names, lines and settings are not shown to this client."
    return box("access", "Access", ways, note=note)
