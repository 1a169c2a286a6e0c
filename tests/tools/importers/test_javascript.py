"""The reader of JavaScript literals: compared with node where it is installed; no exception but its own."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import time

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from relay.tools.importers.readers.javascript import read
from relay.tools.importers.readers.tree import Node, NotReadable, Opaque

NODE = """
const vm = require('vm');
const sources = JSON.parse(require('fs').readFileSync(0));
const shown = (key, value) => typeof value === 'number' && !Number.isFinite(value) ? { number: String(value) }
  : value === undefined ? null : value;
console.log(JSON.stringify(sources.map((source) => {
  try { return { value: vm.runInNewContext('config = ' + source, {}, { timeout: 20000 }) }; }
  catch (error) { return { error: String(error) }; }
}), shown));
"""


def plain(node: Node):
    """The value as JSON, in the form of the program for node above."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"}
    assert not isinstance(value, Opaque), value
    return value


def is_constant(node: Node) -> bool:
    value = node.value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not isinstance(value, Opaque) and all(map(is_constant, parts))


def members(text: str) -> dict:
    return {name: node.value for name, node in read(text).config.members.items()}


def evaluated(sources: list[str]) -> list[dict]:
    node = shutil.which("node")
    if node is None:
        assert "RELAY_EXPECT_NODE" not in os.environ, "node is expected here"
        pytest.skip("no node")
    done = subprocess.run([node, "-e", NODE], input=json.dumps(sources), capture_output=True, text=True, check=True)
    return json.loads(done.stdout, parse_int=float)


def test_what_configurations_hold():
    text = """
    /* of our daemon */
    {
      port: 8125               // the default
    , "address": '0.0.0.0',
      'mgmt_port': 0x1fbe,
      flushInterval: 10 * 1000,
      socket_mod: 0777,
      prefixStats: 'stats' + '.' + 7,
      debug: !1,
      title: `plain`,
      missing: undefined,
      graphite: { globalSuffix: require('os').hostname().split('.')[0], list: [1, -2.5e3, .5, [],], },
    }
    """
    config = read(text).config.members
    assert {name: plain(node) for name, node in config.items() if name != "graphite"} == {
        "port": 8125, "address": "0.0.0.0", "mgmt_port": 8126, "flushInterval": 10000, "socket_mod": 511,
        "prefixStats": "stats.7", "debug": False, "title": "plain", "missing": None,
    }  # fmt: skip
    graphite = config["graphite"].members
    assert graphite["globalSuffix"].value == Opaque("require('os').hostname().split('.')[0]")
    assert plain(graphite["list"]) == [1, -2500, 0.5, []]
    assert [(node.line, node.column) for node in config.values()][:3] == [(4, 7), (5, 7), (6, 7)]
    assert (graphite["list"].line, graphite["list"].column) == (13, 73)


@pytest.mark.parametrize(
    "text",
    [
        "module.exports = { port: 1 };",
        "exports = module.exports = { port: 1 }",
        "export default { port: 1 }",
        "({ port: 1 })",
        "config = { port: 1 };",
        "exports.port = 1;",
        "module.exports.port = 1",
        "'use strict';\nconst config = {}\nconfig.port = 1\nmodule.exports = config",
        "#!/usr/bin/env node\nconst p = 2 - 1\nconst os = require('os')\nmodule.exports = { port: p }",
        "const base = { port: 1 }; module.exports = { ...base }",
        "const port = 1; module.exports = { port }",
        "\ufeff{ port: 1 }",
    ],
)
def test_forms_of_a_file(text):
    assert members(text) == {"port": 1}
    assert read(text).statements == []


@pytest.mark.parametrize(
    "source",
    [
        "process.env.PORT || 8125",
        "process.env['PORT'] ?? 8125",
        "require('os').hostname().replace(/[.,}]/g, \"_\")",
        "a / b / c",
        "function (a, b) { if (a) { return { b: '}' }; } /* } */ }",
        "(a, b) => ({ a, b })",
        "async x => await x",
        "`host ${ { a: `}` }.a } ]`",
        "new Date().getTime()",
        "a ? b : { c: 1 }",
        "class A extends B { m() { return 1; } }",
        "'1' * 2",
        "1 + 0.5 + 'x'",
        "10n",
        "1 ** 2",
        "typeof x === 'undefined'",
        "[1, 2].concat(3)",
        "{ a: 1 }.b()",
        "[1, 2].length",
        "function* () { yield 1 }",
        "{ a = 1 }",
    ],
)
def test_what_would_have_to_be_executed_is_kept_as_it_stands(source):
    config = read(f"{{ before: 1, it: {source}, after: 2 }}").config.members
    assert list(config) == ["before", "it", "after"]
    kept = config["it"].value
    assert kept == Opaque(source) or source == "{ a = 1 }"


def test_methods_and_spreads_are_members_too():
    config = read("{ flush() { return 1 }, get port() { return 2 }, [name]: 3, ...others, local, last: 1 }").config
    kept = [member.value.text for member in config.members.values() if isinstance(member.value, Opaque)]
    assert kept == ["flush() { return 1 }", "get port() { return 2 }", "[name]: 3", "...others", "local"]
    assert config.members["last"].value == 1


def test_statements_beside_the_configuration_are_told():
    module = read("if (process.env.X) { y() } else { z() }\nmodule.exports = { port: 1 };\nsetInterval(f, 5)")
    assert [(node.line, node.value.text) for node in module.statements] == [
        (1, "if (process.env.X) { y() } else { z() }"),
        (3, "setInterval(f, 5)"),
    ]


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("{\n  port: 8125\n  address: 'x'\n}", "expected a comma before this", 3, 3),
        ("{ port: os.port\n  address: 1 }", "expected a comma before this", 2, 3),
        ("{ port: 8125", 'this "{" is not closed', 1, 1),
        ("{\n a: [1, 2 }", 'expected a comma or "]"', 2, 11),
        ("{ a: f(1, [2) }", '")" does not close the "[" of line 1', 1, 13),
        ("{ a: 'it\n}", "this string does not end on its line", 1, 6),
        ("{ a: 1 /* to be continued", "this comment does not end", 1, 8),
        ("{ a: `x${1}", "this template does not end", 1, 6),
        ("{ a: /x\n/ }", "this regular expression does not end on its line", 1, 6),
        ("{ a: }", "a value is missing after a", 1, 6),
        ("{ a: 10px }", "this is not a number", 1, 6),
        ("{ a: '\\u12' }", "\\u needs its digits", 1, 6),
        ("{ a 1 }", 'expected a name, then ":" and a value', 1, 5),
        ("{ a: b: 1 }", '":" is unexpected here; is a comma missing before?', 1, 7),
        ("{ a: \x01 }", "'\\x01' is unexpected here", 1, 6),
        ("{ a: 1 } }", 'expected a value, not "}"', 1, 10),
        ("// nothing", "there is no object literal such as { port: 8125 }", 1, 1),
        ("{ a: " + "[" * 40, "more than 32 levels", 1, 38),
    ],
)
def test_an_error_points_at_its_place(text, message, line, column):
    with pytest.raises(NotReadable) as caught:
        read(text)
    assert (str(caught.value), caught.value.line, caught.value.column) == (message, line, column)


numbers = st.one_of(
    st.integers(-(2**60), 2**60).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from([".5", "5.", "0x1F", "0b101", "0o17", "017", "089", "1e3", "1E-7", "1_000", "1e400", "-0", "NaN"]),
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\'\"`$\u2028\u2029"), max_size=8)
escapes = st.sampled_from(
    ["", "\\n", "\\x41", "\\u00e9", "\\u{1F600}", "\\101", "\\0", "\\\n", "\\'", "\\z", "\\uD83D\\uDE00"]
)
strings = st.builds(lambda quote, a, b, c: f"{quote}{a}{b}{c}{quote}", st.sampled_from("'\""), texts, escapes, texts)
templates = st.builds("`{}`".format, texts)
blanks = st.sampled_from(["", " ", "\n", "\t/* x */ ", " // y\n", "\r\n"])
operators = st.sampled_from(["+", "-", "*", "/", "%"])
sums = st.builds(lambda a, o, b: f"{a} {o} {b}", numbers, operators, numbers)
joined = st.builds(lambda a, b: f"{a} + {b}", strings, strings)
leaves = st.one_of(
    numbers, strings, templates, sums, joined, st.sampled_from(["true", "false", "null", "undefined", "!0"])
)
keys = st.one_of(
    st.sampled_from(["a", "$b", "_c", "in", "класс", "0", "7"]), strings.filter(lambda s: "__proto__" not in s)
)


def containers(values):
    pair = st.builds(lambda k, b, v: f"{k}{b}:{b}{v}", keys, blanks, values)
    tail = st.sampled_from(["", ","])
    objects = st.builds(
        lambda p, b, t: f"{{{b}{f',{b}'.join(p)}{t if p else ''}{b}}}", st.lists(pair, max_size=4), blanks, tail
    )
    arrays = st.builds(
        lambda v, b, t: f"[{b}{f'{b},'.join(v)}{t if v else ''}{b}]", st.lists(values, max_size=4), blanks, tail
    )
    grouped = st.builds("({})".format, values)
    return st.one_of(objects, arrays, grouped)


constants = st.recursive(leaves, containers, max_leaves=12)


@settings(max_examples=5, phases=[Phase.generate])
@given(st.lists(constants, min_size=40, max_size=40))
def test_constants_have_the_value_that_node_gives_them(sources):
    sources = [f"{{ it: {source} }}" for source in sources]
    for source, expected in zip(sources, evaluated(sources), strict=True):
        assert "error" not in expected, (source, expected)
        found = json.loads(json.dumps(plain(read(source).config)), parse_int=float)
        assert found == expected["value"], source


PIECES = [
    *"{}[](),:;'\"`$/\\*+-.=!?&|<>\n 0179aexn_#@",
    "${",
    "//",
    "/*",
    "*/",
    "...",
    "=>",
    "function",
    "a:",
    "'b'",
    "10",
    "module.exports",
    "||",
    "&&",
    "??",
    "?",
    "(() => (",
    "))()",
    "(function (a) { return ",
    "})(10)",
    "Object.assign({}, ",
    ".a",
    "['b']",
]


@settings(max_examples=400)
@example("}.")
@example("Object")
@example("JSON.")
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=40))
def test_whatever_the_text_is_only_its_own_error_comes_out(text):
    for source in (text, f"{{ a: {text} }}", f"module.exports = {{ {text}"):
        place = (1, 1)
        try:
            read(source)
        except NotReadable as error:
            place = (error.line, error.column)
        assert place[0] >= 1
        assert 1 <= place[1] <= len(source) + 1


def test_what_it_takes_for_constant_is_so_for_node_too():
    """Random sources, mostly not JavaScript: a value that is read completely is the same in node."""
    chance = random.Random(8125)
    sources = []
    for _ in range(6000):
        inner = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 7)))
        try:
            module = read(f"{{ a: {inner} }}")
        except NotReadable:
            continue
        if is_constant(module.config) and not module.statements:
            sources.append(f"{{ a: {inner} }}")
    assert len(sources) > 100
    for source, expected in zip(sources, evaluated(sources), strict=True):
        assert "error" not in expected, (source, expected)
        assert json.loads(json.dumps(plain(read(source).config)), parse_int=float) == expected["value"], source


LITERAL = "{ port: 8130, deleteIdleStats: true }"
SPELLINGS = [
    LITERAL, f"({LITERAL})", f"({LITERAL});", f"module.exports = {LITERAL}", f"exports = module.exports = {LITERAL}",
    f"(function () {{ return {LITERAL}; }})();", f"(function () {{ return {LITERAL} }}())", f"(() => ({LITERAL}))()",
    "(() => { 'use strict'; const port = 8130; return { port, deleteIdleStats: !0 } })()",
    "(function (p) { return { port: p, deleteIdleStats: true } })(8130)", f"const c = {LITERAL}; module.exports = c",
    f"var c = {LITERAL}\nc", f"function make() {{ return {LITERAL} }}\nmodule.exports = make()",
    f"const make = (port) => ({{ ...{LITERAL}, port }}); module.exports = make(8130)",
    f"Object.assign({{}}, {{ port: 1 }}, {LITERAL})", f"module.exports = Object.freeze({LITERAL})",
    "JSON.parse('{\"port\": 8130, \"deleteIdleStats\": true}')", f"(0, {LITERAL})", f"true ? {LITERAL} : {{}}",
    "{ port: null || 8130, deleteIdleStats: '' || true }", "({ 'port': 8e3 + 0x82, ['deleteIdleStats']: true })",
    "(function () { const config = {}; config.port = 8130; config.deleteIdleStats = true; return config })()",
    f"(function (root) {{ module.exports = {LITERAL} }})(this)",
    f"const all = {{ live: {LITERAL} }}; module.exports = all.live",
]  # fmt: skip


@pytest.mark.parametrize("source", SPELLINGS)
def test_a_literal_is_read_however_it_is_spelt(source):
    module = read(source)
    assert plain(module.config) == {"port": 8130, "deleteIdleStats": True}


@pytest.mark.parametrize(
    "source",
    [
        "require('./base')", "module.exports = require('./base')", "(function () { if (x) { return { port: 1 } } })()",
        "make()", "const f = () => f(); module.exports = f()", "if (x) { config = { port: 1 } }",
        "process.env.X ? { port: 1 } : { port: 2 }",
    ],
)  # fmt: skip
def test_what_comes_to_no_literal_is_an_error(source):
    with pytest.raises(NotReadable, match=r"no object literal|more than 32 levels"):
        read(source)


@pytest.mark.parametrize(
    "text",
    [
        "module.exports = { port: 1, module }", "var c = { port: 1 }; c.own = c; module.exports = c",
        "var c = { port: 1 }; c.own = [{ a: c }]; module.exports = c",
    ],
)  # fmt: skip
def test_a_value_that_contains_itself_is_cut(text):
    assert "[Circular]" in repr(read(text).config)


def test_a_value_that_is_used_again_and_again_is_bounded():
    doubled = "".join(f"var a{n} = [a{n - 1}, a{n - 1}];" for n in range(1, 40))
    with pytest.raises(NotReadable, match="more than 100,000 values"):
        read(f"var a0 = 1; {doubled} module.exports = {{ port: 1, x: a39 }}")


def test_calls_of_calls_end():
    functions = "".join(f"const f{n} = () => [f{n - 1}(), f{n - 1}(), f{n - 1}()];" for n in range(1, 9))
    began = time.process_time()
    read(f"const f0 = () => 1; {functions} module.exports = {{ port: f8() }}")
    assert time.process_time() - began < 5


def test_a_large_hostile_file_takes_no_longer_than_its_size():
    for text in ("{" * 50_000, "{a:" + "(" * 50_000, "`${" * 50_000, "{a:" + "x||" * 50_000 + "1}", "/*" * 50_000):
        with pytest.raises(NotReadable):
            read(text + "\x01")


REFERENCE = """
const sources = JSON.parse(require('fs').readFileSync(0));
const run = (source) => {
  const module = { exports: {} };
  const evaluate = new Function('module', 'exports', 'require', 'source',
    "let config = {}; return eval('config = ' + source)");
  try { return { value: evaluate(module, module.exports, require, source) } } catch (error) { return { error: 1 } }
};
console.log(JSON.stringify(sources.map(run)));
"""
"""As lib/config.js of statsd/statsd evaluates a file."""
FORMS = [
    *SPELLINGS, "exports.port = 1", "exports.port = 1; exports.mgmt_port = 2;", "module.exports.port = 1",
    "module.exports.port = { a: 1 }", "'use strict'\nvar cfg = { port: 1 }; cfg",
    "'use strict'; var cfg = { port: 1 }; module.exports = cfg", "var cfg = { port: 1 }; module.exports = cfg",
    "const cfg = { port: 1 }\nmodule.exports = cfg", "let cfg = { port: 1 }; module.exports = cfg",
    "export default { port: 1 }", "#!/usr/bin/env node\n{ port: 1 }", "\ufeff{ port: 1 }", "/* x */ { port: 1 } // y",
    "config = { port: 1 };", "function make() { return { port: 1 } }\nmodule.exports = make()", "{ port: 1 };",
    "{ port: 1 }; 7", "{ port: 1 }; var unused = 1", "module.exports = { port: 1 }; 'done'",
    "0; module.exports = { port: 1 }", "{ port: 1 }; exports.other = 'x'", "if (1) { 1 }\nmodule.exports = { port: 1 }",
    "{ port: 1 }\nif (0) { 1 }", "{ port: 1 }\nfor (;0;) { 1 }", "{ port: 1 }\nclass A {}",
    "{ port: 1 }\nfunction f() {}",
    "{ port: 1 }; String(1)",
]  # fmt: skip
"""Of a file: as the reference takes it, and as it does not."""


def test_a_file_is_at_fault_exactly_where_the_reference_has_no_such_configuration():
    node = shutil.which("node")
    if node is None:
        assert "RELAY_EXPECT_NODE" not in os.environ, "node is expected here"
        pytest.skip("no node")
    done = subprocess.run([node, "-e", REFERENCE], input=json.dumps(FORMS), capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    is_same = {form: one.get("value") == plain(read(form).config) for form, one in zip(FORMS, results, strict=True)}
    assert {form: read(form).fault is None for form in FORMS} == is_same
    assert 10 < sum(is_same.values()) < len(FORMS) - 10
