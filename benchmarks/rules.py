"""What rules cost: naming 100,000 new series by 1,000 rules, and nothing for each line after that.

    python -m benchmarks.rules [--series 100000] [--rules 1000]

Naming is done once for a new series, in slices beside everything else. Printed is the CPU of all of it, with and
without rules in turn, and what asking one regex after the other costs. Then callgrind counts the instructions of a
known line, fed to the native hot path in full datagrams, without rules and with them.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from relay.config.schema import Config, RuleConfig
from relay.daemon.build import ingest_settings, make_namer
from relay.hotpath.factory import make_hotpath
from relay.model import Identity, Kind
from relay.naming.ruleset import Ruleset
from relay.patterns.regexes import find_re2
from tests.support.traffic import datagrams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUNDS = 3
METHODS = ("get", "put", "post", "patch", "delete")
PASSES = (2, 4)
DATAGRAMS = 400


def main() -> None:
    """Measure naming and feeding, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--feed", type=int, nargs=2, metavar=("RULES", "PASSES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.feed:
        feed(*options.feed)
        return
    seconds = name(identities(options.series, options.rules), dict(rulesets(options.rules)))
    bare = seconds.pop("no rules")
    print(f"{options.series} series named, CPU seconds (of naming without rules: {bare:.2f})")
    for label, figure in seconds.items():
        print(f"{label:<34}{figure:>7.2f}{figure / bare:>7.2f} x")
    without, with_ = (instructions(count) for count in (0, options.rules))
    print(f"instructions a known line: {without:.1f} without rules, {with_:.1f} with {options.rules}")


def identities(series: int, services: int) -> list[Identity]:
    """Return `series` identities: names of five parts, one service a rule, and the host as a tag."""
    found = []
    for n in range(series):
        service, method, status = n % services, METHODS[n // services % 5], 200 + n // services // 5 % 4
        text = f"web.svc{service}.request.{method}.{status}"
        found.append(Identity(text.encode(), Kind.TIMER, b"host:web-%d,route:r%d" % (n // 20 // services, n % 31)))
    return found


def rulesets(count: int) -> Iterator[tuple[str, Ruleset]]:
    """Yield rulesets that do the same, each written in another way."""
    mapped = {"metric": "web.request", "tags": {"service": "$1", "method": "$2"}}
    own = {"metric": "web.request", "tags": {"method": "$1", "status": "$2"}}
    globs = [RuleConfig(match=f"web.svc{n}.request.*.*", **own) for n in range(count)]
    stars = [RuleConfig(match=f"*.svc{n}.*.*.*", **mapped) for n in range(count)]
    regexes = [RuleConfig(regex=rf"^job{n}\.([^.]+)\.([^.]+)$", metric="job.$1") for n in range(10)]
    few = [*regexes, *globs[: count - len(regexes)]]
    yield "no rules", Ruleset([], re2=None)
    yield "globs", Ruleset(globs, re2=None)
    yield "globs that begin with a star", Ruleset(stars, re2=None)
    yield "globs and 10 regexes", Ruleset(few, re2=find_re2())


def name(wanted: Sequence[Identity], ways: dict[str, Ruleset]) -> dict[str, float]:
    """Return the median CPU seconds of naming all identities with each ruleset, and with regexes one by one."""
    seen: dict[str, list[float]] = {label: [] for label in ways}
    for _ in range(ROUNDS):
        for label, ruleset in ways.items():
            namer = make_namer(Config(), ruleset)
            seen[label].append(cpu_of(lambda n=namer: deque(map(n.resolve, wanted), maxlen=0)))
    found = {label: statistics.median(figures) for label, figures in seen.items()}
    return found | {"one regex after the other": one_by_one(wanted, len(ways["globs"])) + found["no rules"]}


def one_by_one(wanted: Sequence[Identity], count: int) -> float:
    """Return the CPU seconds of trying compiled regexes one by one, extrapolated from a hundredth of the names."""
    compiled = [re.compile(rf"web\.svc{n}\.request\.([^.]*)\.([^.]*)") for n in range(count)]
    some = [identity.name.decode() for identity in wanted[::101]]
    seconds = cpu_of(lambda: [next(found for regex in compiled if (found := regex.fullmatch(text))) for text in some])
    return seconds * len(wanted) / len(some)


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def instructions(rules: int) -> float:
    """Return the instructions of one line of a known series."""
    few, many = (count(rules, passes) for passes in PASSES)
    lines = sum(datagram.count(b"\n") + 1 for datagram in datagrams("full")[:DATAGRAMS])
    return (many - few) / ((PASSES[1] - PASSES[0]) * lines)


def count(rules: int, passes: int) -> int:
    """Return the instructions within the hot path's feed, in a process that feeds `passes` passes."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=hotpath_feed"]
    command += [sys.executable, "-m", "benchmarks.rules", "--feed", str(rules), str(passes)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def feed(rules: int, passes: int) -> None:
    """Feed the same traffic `passes` times; after the first pass, rules that map every name are applied."""
    mapping = [RuleConfig(match=f"never{n}.*", metric="m.$1") for n in range(max(rules - 1, 0))] + [
        RuleConfig(match="**")
    ][:rules]
    namer = make_namer(Config(), Ruleset(mapping, re2=None))
    hotpath = make_hotpath("native", **ingest_settings(Config()).hotpath)
    hotpath.open_window(0)
    sent = datagrams("full")[:DATAGRAMS]
    for number in range(passes):
        for datagram in sent:
            hotpath.feed(datagram, 1.0)
        while number == 0 and (waiting := hotpath.unresolved(1000)):
            hotpath.resolve([(identity, namer.resolve(identity)) for identity in waiting])


if __name__ == "__main__":
    main()
