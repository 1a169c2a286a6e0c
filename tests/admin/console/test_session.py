"""Input split in any way gives the same commands, for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.admin.console.protocol_mux import is_http
from relay.admin.console.session import Commands


def received(*chunks: bytes) -> list[str]:
    """Return the commands of chunks without a pause, to the end of the stream."""
    commands = Commands()
    found = [command for chunk in chunks for command in commands.receive(chunk)]
    return found + commands.end()


@pytest.mark.parametrize(
    ("chunks", "commands"),
    [
        ([b"health\n"], ["health"]),
        ([b"health\r\n"], ["health"]),
        ([b"health"], ["health"]),
        ([b"  health up \t\r\n"], ["health up"]),
        ([b"health\n\n"], ["health"]),
        ([b"health\n", b"\n"], ["health", ""]),
        ([b"\r\n"], [""]),
        ([b"   "], [""]),
        ([b"help\nstats\r\nquit\n"], ["help", "stats", "quit"]),
        ([b"hel", b"p\nsta", b"ts"], ["help", "stats"]),
        ([b"\nhelp"], ["help"]),
        ([b"delcounters a  b.*\n"], ["delcounters a  b.*"]),
        ([b"caf\xe9\n"], ["cafi"]),
        ([b"\xa0help\xa0\n"], ["help"]),
        ([b"a\x00b\n"], ["a\x00b"]),
    ],
)
def test_commands(chunks, commands):
    assert received(*chunks) == commands


WORDS = st.sampled_from(["help", "health up", "stats", "delcounters a b.*", "nonsense"])


@given(st.lists(st.tuples(WORDS, st.sampled_from([b"\n", b"\r\n", b" \n"])), min_size=1), st.data())
def test_a_line_is_the_same_command_wherever_it_is_split(lines, data):
    text = b"".join(word.encode() + end for word, end in lines)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    chunks = [text[first:last] for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    # A read of nothing but blanks is a command of its own, as in the reference.
    assert [command for command in received(*chunks) if command] == [word for word, _ in lines]


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes_become_ascii_commands_without_outer_blanks(chunks):
    for command in received(*chunks):
        assert command.isascii()
        assert command == command.strip(" \t\r\n\v\f")
        assert "\n" not in command


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_http_once_it_has_its_blank(method):
    for size in range(len(method) + 1):
        assert is_http(method[:size].encode()) is None
    assert is_http(f"{method} ".encode()) is True
    assert is_http(f"{method} / HTTP/1.1\r\n".encode()) is True
    assert is_http(f"{method}\n".encode()) is False
    assert is_http(f"{method.lower()} ".encode()) is False


@pytest.mark.parametrize("head", [b"h", b"s", b"q", b"\n", b" ", b"\x16\x03\x01", b"HEAL", b"PRI ", b"GETS", b"\x00"])
def test_everything_else_is_the_console(head):
    assert is_http(head) is False


@given(st.binary(min_size=1, max_size=40))
def test_the_decision_is_final(text):
    decisions = [is_http(text[:size]) for size in range(1, len(text) + 1)]
    known = [decision for decision in decisions if decision is not None]
    assert len(set(known)) <= 1
    assert decisions[len(decisions) - len(known) :] == known
    assert known or any(f"{method} ".encode().startswith(text) for method in METHODS)
