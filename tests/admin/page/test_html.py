"""Text of users becomes text of the page, whatever is in it."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from relay.admin.page.html import Html, code, element, join, table
from relay.wording import printable


def test_text_and_attributes_are_escaped():
    shown = element("a", "<b>", href="\"'><script>", title="a&b")
    assert shown == '<a href="&quot;&#x27;&gt;&lt;script&gt;" title="a&amp;b">&lt;b&gt;</a>'


def test_html_is_not_escaped_twice():
    assert element("p", code("<"), " & ", Html("<i>")) == "<p><code>&lt;</code> &amp; <i></p>"
    assert join(["<", code("x")], ", ") == "&lt;, <code>x</code>"


def test_attributes():
    assert element("input", type="text", disabled=True, hidden=False, title=None) == '<input type="text" disabled>'
    assert element("b", class_="x", aria_label="y") == '<b class="x" aria-label="y"></b>'


def test_characters_that_reorder_text_become_escapes():
    assert element("b", "a\u202eb\x1b\n") == "<b>a\\u202eb\\x1b\\n</b>"


class Parsed(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text())
def test_a_parser_reads_what_was_given(text, attribute):
    parsed = Parsed(element("p", text, title=attribute))
    assert (parsed.tags, parsed.attributes) == (["p"], [("title", printable(attribute))])
    assert parsed.text == printable(text)


def test_a_table_has_a_caption_and_heads():
    shown = table("What it is", ("name", "count"), [["<a>", "1"]])
    assert '<caption class="hidden">What it is</caption>' in shown
    assert '<th scope="row">&lt;a&gt;</th><td class="n">1</td>' in shown
    assert 'role="region" aria-label="What it is" tabindex="0"' in shown
