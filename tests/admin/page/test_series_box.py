"""Box 6 of the page: the rule to copy."""

from __future__ import annotations

import html
import re

from relay.admin.answers.series import RuleProposal
from relay.admin.page.boxes.series import _proposal
from relay.model import Kind

TOML = '[[rule]]\nmatch = "web.<b>"\ndrop_tags = ["request_id"]'


def test_the_rule_is_shown_as_it_stands_in_a_file():
    shown = _proposal(
        RuleProposal(
            metric="web.<b>",
            type=Kind.COUNTER,
            tag="request_id",
            before=4_180,
            after=24,
            is_exact=True,
            toml=TOML,
            number=0,
            replaces=False,
            pattern="",
        )
    )
    copied = re.search(r"<pre>(.*)</pre>", shown, re.DOTALL)[1]
    assert html.unescape(re.sub(r"</?code>", "", copied)) == TOML
