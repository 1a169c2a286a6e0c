"""How often the log tells a finding, and at which level."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from relay.admin.answers.finding import Finding
from relay.daemon.health.facts import BadLine, Counts, Facts, Intake
from relay.daemon.reports.findings import JUDGED, FindingLog
from relay.loss_log import LossLog

BEGAN = 600.0


def finding(level: str = "warning", code: str = "RLY305", **changes) -> Finding:
    texts = {"sentence": "3 samples dropped since 12:07", "fix": "set the clock", "next": "explain RLY305", **changes}
    return Finding(code=code, level=level, since=BEGAN, **texts)


class Judged:
    """Answers of a judge, one after another, in windows of a minute."""

    def __init__(self) -> None:
        self.facts, self.findings, self.window = Facts(now=BEGAN, started=0.0, open_start=600), (), 600
        self.log = FindingLog(self)

    def subscribe(self, subscriber) -> None:
        self.report = subscriber

    def look(self, *findings: Finding, windows: int = 0, added: Counts | None = None, **facts) -> list[dict]:
        """Answer some windows later; return what is logged."""
        self.window += 60 * windows
        known = {"started": 0.0, "open_start": self.window, "periods": (added or Counts(),), **facts}
        self.facts = Facts(now=self.window + 1.0, **known)
        old, new = ({(one.code, one.subject): one for one in some} for some in (self.findings, findings))
        self.findings = findings
        with capture_logs() as logs:
            self.report(
                [one for key, one in new.items() if key not in old],
                [one for key, one in new.items() if key in old and one != old[key]],
                [one for key, one in old.items() if key not in new],
            )
        return logs


@pytest.fixture
def judged():
    return Judged()


def events(logs: list[dict]) -> list[tuple[str, str]]:
    return [(log["event"], log["log_level"]) for log in logs]


@pytest.mark.parametrize(("level", "shown"), [("problem", "error"), ("warning", "warning"), ("note", "info")])
def test_a_finding_is_told_when_it_begins_with_what_a_person_needs(judged, level, shown):
    words = {"cloud": '"no"', "safe": "3 points wait"}
    [log] = judged.look(finding(level, subject="too_old", **words))
    assert (log.pop("event"), log.pop("log_level"), log.pop("since")) == ("finding began", shown, BEGAN)
    texts = {"sentence": "3 samples dropped since 12:07", "fix": "set the clock", "next": "explain RLY305"}
    assert log == {"code": "RLY305", "severity": level, "subject": "too_old", **texts, **words}


def test_it_is_told_again_when_it_gets_worse_and_not_when_it_gets_better(judged):
    judged.look(finding("warning"))
    assert judged.look(finding("warning", sentence="4 samples")) == []
    assert events(judged.look(finding("problem"))) == [("finding got worse", "error")]
    assert judged.look(finding("warning")) == []


def test_every_ten_windows_it_says_that_it_goes_on(judged):
    judged.look(finding("problem"))
    logs = [log for _ in range(21) for log in judged.look(finding("problem"), windows=1)]
    assert events(logs) == [("finding continues", "error")] * 2
    assert logs[0]["sentence"] == "still: 3 samples dropped since 12:07"


def test_a_note_is_told_once(judged):
    logs = [log for _ in range(30) for log in judged.look(finding("note"), windows=1)]
    assert events([*logs, *judged.look()]) == [("finding began", "info")]


def test_its_end_has_its_length(judged):
    judged.look(finding("problem"))
    [log] = judged.look(windows=3)
    assert (log["event"], log["log_level"], log["seconds"]) == ("finding ended", "info", 181)
    assert log["sentence"] == "ended after 3 min 1 s: 3 samples dropped since 12:07"
    assert events(judged.look(finding("problem"))) == [("finding began", "error")], "it may come again"


def test_a_window_that_adds_to_it_says_how_many_more(judged):
    one = finding(subject="too_old")
    judged.look(one)
    added = Counts(samples_dropped={"too_old": 7, "late_gauge": 9})
    assert judged.look(one, windows=1, added=added) == [], "the first line has what its own window added"
    [log] = judged.look(one, windows=1, added=added)
    assert (log["event"], log["more"], log["subject"]) == ("more like this", 7, "too_old")
    assert judged.look(one, added=added) == [], "once a window"
    assert judged.look(one, windows=1) == []


def test_what_an_event_has_told_already_is_told_at_its_end_alone(judged):
    assert judged.look(finding(code="RLY502")) == []
    assert events(judged.look()) == [("finding ended", "info")]


def test_rejected_lines_have_an_example_with_its_place(judged):
    bad = BadLine(reason="bad_value", line="a:x|c", at=2, why="not a number", sender="10.0.0.7:5")
    sentence = "3 lines of 9 rejected, most bad_value"
    [log] = judged.look(finding(code="RLY301", sentence=sentence), intake=Intake(bad_lines=(bad,)))
    assert (log["line"], log["column"], log["sender"], log["reason"]) == ("a:x|c", 3, "10.0.0.7:5", "bad_value")


def test_single_events_of_what_is_judged_are_left_to_the_level_debug(clock):
    log = LossLog(clock, judged=JUDGED)
    with capture_logs() as logs:
        log.warn("samples dropped", code="RLY305", samples=3)
        log.warn("a batch in the spool is damaged", code="RLY412", points=3)
        log.judged = ()
        log.warn("points dropped", code="RLY407", points=3)
    assert [line["log_level"] for line in logs] == ["debug", "warning", "warning"]
