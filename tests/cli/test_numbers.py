"""Numbers of options: a number out of range is refused with the option, the value and the rule."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import COMMANDS, cli
from relay.cli.shared.interrupt import Interrupt
from relay.config.types import Seconds, Size
from tests.support.command import call

if TYPE_CHECKING:
    from pathlib import Path

NO_NUMBERS = ("", " ", "abc", "nan", "NaN", "inf", "-inf", "infinity", "-1", "-0.5", "1e999", "0x10", "1_0", "٣", "²")
HUGE = ("9" * 30, "9" * 400, "9" * 5000)
PLACES = (*NO_NUMBERS, "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:٣")
PLACES += ("127.0.0.1:1.5", "127.0.0.1:" + "9" * 5000)
TIMES = ("1x", "1.5.5s", "1e3s", "-5s", "nans", "infs", "367d", "9" * 400 + "s", "٣s")
ABOUT_A_RELAY = (
    *("capture", "compare", "config show", "dead drop", "dead list", "dead replay", "dead show", "explain"),
    *("bundle", "healthcheck", "reload", "series", "spool stat", "spool verify", "status", "tap", "top"),
)
NUMBERS = {
    ("capture", "--for"): TIMES,
    ("capture", "--listen"): PLACES,
    ("capture", "--max-size"): ("1x", "-1KiB", "1.5.5MiB", "9999999999GiB", "9" * 400 + "GiB", "٣KiB"),
    ("cloud", "--listen"): PLACES,
    ("cloud", "--latency"): TIMES,
    ("cloud", "--fail"): (
        *("429:150%", "429:100.5%", "429:-5%", "429:nan%", "429:inf%", "429:1e9%", "429:٣%", "hang:" + "9" * 400 + "%"),
        *("429:0", "429:-1", "429:1.5", "429:nan", "429:1000000001", "429:" + "9" * 5000, "429:٣", "hang:²"),
        *("0", "99", "100", "199", "600", "1000", "-429", "٤٢٩"),
    ),
    ("compare", "--for"): (*TIMES, "0", "0s"),
    ("compare", "--graphite"): (*PLACES, "127.0.0.1:0"),
    **{(command, "--admin"): (*PLACES, "127.0.0.1:0", "127.0.0.1:1,") for command in ABOUT_A_RELAY},
    ("dead show", "--last"): ("0", "100001", "1.5"),
    ("demo", "--for"): (*TIMES, "0", "0s"),
    ("load", "--rate"): ("0", "0.0001", "1000000001", "1001M", "1kk", "1G", "k", "9" * 400 + "k", "٣k"),
    ("load", "--for"): (*TIMES, "0", "0s"),
    ("load", "--lines"): ("0", "5001", "1.5"),
    ("load", "--series"): ("0", "1000001", "1.5"),
    ("load", "--seed"): (str(2**32 + 1), "1.5"),
    ("series", "--top"): ("0", "1.5"),
    ("series", "--for"): TIMES,
    ("status", "--wait"): TIMES,
    ("tap", "--for"): TIMES,
    ("tap", "--from"): ("127.0.0.1/33", "::1/129", "::1/x"),
    ("tap", "--rate"): ("0", "1001", "1.5"),
    ("replay", "--speed"): ("0", "0.0001", "1000001", "-0", "maximum", ".5", "1."),
    ("replay", "--port"): ("0", "65536", "1.5"),
}
"""Of each option that takes a number: what it refuses, beside NO_NUMBERS and HUGE."""
WORDS = {("init", "--env"), ("init", "--region"), ("init", "--senders"), ("tap", "--tag")}
"""Options with a rule of their own that take no number."""
READ_LATER = {("load", "--to"), ("replay", "--to"), ("send", "--to")}
"""Read by the command itself, before anything else it does."""
CASES = [(*option, value) for option, values in NUMBERS.items() for value in (*values, *NO_NUMBERS, *HUGE)]


def options(command: click.Command, name: str = "") -> list[tuple[str, click.Parameter]]:
    """Return every option of every command below, with the name of its command."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        below = {one: command.get_command(context, one) for one in command.list_commands(context)}
        return [found for one, sub in below.items() for found in options(sub, f"{name} {one}".strip())]
    return [(name, param) for param in command.params if isinstance(param, click.Option)]


def test_every_option_that_takes_a_number_is_in_the_table():
    plain = (click.Path, click.Choice, type(click.STRING), type(click.BOOL))
    typed = {(name, param.opts[0]) for name, param in options(cli) if not isinstance(param.type, plain)}
    assert {name.split()[0] for name, _ in options(cli)} == set(COMMANDS)
    assert typed - WORDS == NUMBERS.keys()
    places = {(name, param.opts[0]) for name, param in options(cli) if param.metavar == "HOST:PORT"}
    assert places == READ_LATER


def parse(command: str, *arguments: str) -> None:
    """Parse the arguments of a command without running it."""
    found: click.Command = cli
    for word in command.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
    found.make_context(command, list(arguments), resilient_parsing=False)


NEEDED = {"capture": ("x",), "replay": ("x",), "load": ("--rate", "1")}


@pytest.mark.parametrize(("command", "option", "value"), CASES, ids=lambda text: ascii(text)[:30])
def test_a_number_out_of_its_range_is_refused_with_the_rule(command, option, value):
    with pytest.raises(click.BadParameter) as caught:
        parse(command, *NEEDED.get(command, ()), f"{option}={value}")
    message = caught.value.format_message()
    assert f"'{option}'" in message
    assert "must be" in message


def enough(command: str, directory: Path) -> tuple[str, ...]:
    """Return the arguments that a command needs besides the tested option."""
    file = directory / "x.pcap"
    file.write_bytes(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\0\0\1\0\0\0")
    return {"send": ("a:1|c",), "replay": (str(file),), "load": ("--rate", "1", "--for", "1ms")}.get(command, ())


@pytest.mark.parametrize(("command", "option"), sorted(READ_LATER))
@pytest.mark.parametrize("value", [*PLACES, "127.0.0.1:0"], ids=lambda text: ascii(text)[:30])
def test_a_port_out_of_its_range_is_refused_with_the_rule(command, option, value, tmp_path):
    done = call(command, *enough(command, tmp_path), f"{option}={value}")
    if not value.strip() and command == "healthcheck":
        return  # an empty one is not given
    assert (done.returncode, option in done.stderr, "must be HOST:PORT" in done.stderr) == (64, True, True)


@pytest.mark.parametrize("host", ["a" * 70, "a..b", ".a", "\udcff", "ä" * 300, "a b", "a\nb", "a\x7fb"])
@pytest.mark.parametrize(
    ("command", "option"), [*sorted(READ_LATER), ("compare", "--graphite"), ("compare", "--admin")]
)
def test_a_host_that_no_system_can_look_up_is_refused(command, option, host, tmp_path):
    done = call(command, *enough(command, tmp_path), f"{option}={host}:1")
    assert (done.returncode, option in done.stderr) == (64, True)


def test_a_wait_of_centuries_is_begun():
    """A pcap file may hold any two times, and be replayed a thousand times as slowly."""
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        interrupt.wait(1e13)
        assert interrupt.is_interrupted


@pytest.mark.parametrize("host", ["nowhere.invalid", "nowhere.invalid.", "bücher.invalid", "%", "[::1", "a_b"])
@pytest.mark.parametrize("command", ["healthcheck --admin", "compare --admin", "load --rate 1 --for 1ms --to"])
def test_a_host_that_is_not_there_is_told(command, host):
    done = call(*command.split(), f"{host}:1")
    assert done.returncode in (64, 69)
    assert done.stderr


@given(st.one_of(st.text(), st.floats(), st.integers(), st.integers(2**1023, 2**1100), st.booleans(), st.none()))
def test_whatever_a_duration_or_a_size_is_read_from(value):
    for read, most in ((Seconds.parse, 36_500 * 86_400), (Size.parse, 2**60)):
        try:
            assert 0 <= read(value) <= most
        except ValueError as error:
            assert str(error).startswith("must be a ")  # noqa: PT017 - either is right
