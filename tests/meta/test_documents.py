"""The documents agree with the code."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from relay.admin.http.metrics import RelayCollector
from relay.daemon.windows.self_metrics import COUNTERS, GAUGES
from relay.errors import CODES, DROPPED_POINTS, DROPPED_SAMPLES, FAILED_REQUESTS, REJECTED_LINES
from tests.integration.matrix import NPM, PYPI
from tests.support.inprocess import open_relay

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "deploy/REFERENCE.md").read_text()
SOURCES = {path: path.read_text() for path in (ROOT / "relay").rglob("*.py")}


def test_the_readme_is_short_and_its_test_command_is_what_ci_runs():
    assert len(README.splitlines()) < 150
    [command] = re.findall(r"^ +(python3 -m venv .*pytest -q)$", README, re.MULTILINE)
    assert (ROOT / ".ci/run").read_text().rstrip().endswith(f"\n{command}")


def test_the_contents_of_the_reference_are_its_sections():
    sections = re.findall(r"^## (.+)$", REFERENCE, re.MULTILINE)
    anchors = [re.sub(r"[^a-z -]", "", section.lower()).replace(" ", "-") for section in sections]
    assert re.findall(r"\[([^]]+)\]\(#(.+?)\)", REFERENCE) == list(zip(sections, anchors, strict=True))


def test_every_client_of_the_matrix_is_named_and_no_other():
    names = {"pypi_statsd": "statsd"}
    table = re.findall(r"^\| ([\w-]+) \| (PyPI|npm) \|", (ROOT / "deploy/MIGRATING.md").read_text(), re.MULTILINE)
    pairs = {(names.get(pair.client, pair.client).replace("_", "-"), pair.registry) for pair in PYPI + NPM}
    assert {(name, registry.lower()) for name, registry in table} == pairs | {("gunicorn", "pypi")}


def test_every_error_code_is_in_the_reference_and_used():
    assert dict(re.findall(r"^- `(RLY\d+)` (.+)$", REFERENCE, re.MULTILINE)) == CODES
    code = [text for path, text in SOURCES.items() if path.name not in ("errors.py", "pages.py")]
    assert {used for text in code for used in re.findall(r"RLY\d{3}", text)} == CODES.keys()


def test_every_reason_is_in_the_reference_and_in_the_code():
    """The reference lists every reason, and the code has each of them."""
    paragraph = re.search(r"^Reasons of rejected lines: .*?\n\n", REFERENCE, re.MULTILINE | re.DOTALL)[0]
    lines, samples, points = (set(re.findall(r"`(\w+)`", part)) for part in re.split(r" Of dropped", paragraph))
    assert (lines, samples, points) == (set(REJECTED_LINES), set(DROPPED_SAMPLES), set(DROPPED_POINTS))
    code = "\n".join(text for path, text in SOURCES.items() if path.name != "errors.py")
    causes = re.search(r"^Causes of failed requests: (.*?)\. ", REFERENCE, re.MULTILINE | re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", causes) == list(FAILED_REQUESTS)
    reasons = lines | samples | points | set(FAILED_REQUESTS)
    assert {reason for reason in reasons if f'"{reason}"' not in code} == set()


def test_modules_stay_small():
    sizes = {str(path.relative_to(ROOT)): text.count("\n") for path, text in SOURCES.items()}
    assert {path: size for path, size in sizes.items() if size > 450} == {}


LARGE_FOLDERS = {"cli": 20, "admin/http/api": 16, "admin/answers": 15}
"""Most modules of folders with more than twelve: cli/ has one a command, the others one a path of the API."""


def test_a_folder_is_read_like_a_table_of_contents():
    modules = Counter(str(path.parent.relative_to(ROOT / "relay")) for path in SOURCES if path.name != "__init__.py")
    assert {folder: count for folder, count in modules.items() if count > LARGE_FOLDERS.get(folder, 12)} == {}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def imports_of(path: Path) -> set[str]:
    """Return the modules that a module imports at run time, also in functions; not those for types only."""
    tree = ast.parse(SOURCES[path])
    typing = {id(node) for block in ast.walk(tree) if is_for_types(block) for node in ast.walk(block)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in typing]
    names = {(f"{node.module}.{name.name}", str(node.module)) for node in found for name in node.names}
    return {whole if whole in MODULES else module for whole, module in names}


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_no_modules_import_one_another():
    graph = {name: imports_of(path) & MODULES.keys() - {name} for name, path in MODULES.items()}
    while leaves := [name for name, needed in graph.items() if not needed]:
        graph = {name: needed.difference(leaves) for name, needed in graph.items() if name not in leaves}
    assert graph == {}, "these import one another, or what does"


def table_of(families) -> str:
    rows = sorted((full_name(family), family.type, family.documentation) for family in families)
    return "\n".join(["| metric | type | what it says |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def full_name(family) -> str:
    labels = ",".join(family._labelnames)
    total = "_total" if family.type == "counter" else ""
    return f"`{family.name}{total}{'{' + labels + '}' if labels else ''}`"


async def test_the_table_of_metrics_is_what_the_collector_yields(tmp_path):
    async with open_relay(tmp_path) as running:
        families = list(RelayCollector(running.relay).collect())
    assert all(len(family.documentation) > 10 for family in families)
    assert table_of(families) in REFERENCE
    losses = {family.name for family in families if "DATALOSS" in family.documentation}
    assert {
        name
        for name in losses
        if not re.search("dropped|drops|refused|rejected|truncated|points|clamped|evicted|idle_closed", name)
    } == set()
    silent = {family.name for family in families if re.search("drop|reject|truncat|refused", family.name)} - losses
    assert silent == {
        "relay_dropped_tags",  # a series is sent with the five tags that it may have: no value is lost
        "relay_admin_refused",  # questions, no values
    }


def test_the_table_of_own_figures_is_what_a_window_has():
    rows = [("gauge", GAUGES), ("counter", COUNTERS)]
    for kind, figures in rows:
        for name, text in figures.items():
            assert f"| `statsd_relay.{name}` | {kind} | {text} |" in REFERENCE
    named = set(re.findall(r"^\| `statsd_relay\.(\w+)`", REFERENCE, re.MULTILINE))
    assert named == COUNTERS.keys() | GAUGES.keys()
