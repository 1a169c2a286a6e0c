"""Configuration: precedence, all errors at once with their places, and legal values."""

from __future__ import annotations

import re
import tomllib

import pytest

from relay.config import render
from relay.config.addresses import parse_address
from relay.config.environment import variables
from relay.config.loading import keys, load
from relay.config.types import Seconds, Secret, Size
from relay.errors import ConfigError, ExitCode


def write(tmp_path, text: str):
    path = tmp_path / "relay.toml"
    path.write_text(text)
    return path


def problems(tmp_path, text: str, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ or {})
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    return [problem for problem in caught.value.problems if problem.severity == "error"]


def test_everything_has_a_default():
    loaded = load(None, {})
    assert loaded.config.listen.udp == ["127.0.0.1:8125", "[::1]:8125"]
    assert loaded.config.tags.keys() == {"host"}
    assert (loaded.origins, loaded.warnings, loaded.path) == ({}, (), None)


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    path = write(tmp_path, '[cloud]\nnamespace = "file"\nregion = "cn-east-1"\nprovider = "file"\n')
    environ = {"STATSD_RELAY_CLOUD_NAMESPACE": "env", "STATSD_RELAY_CLOUD_PROVIDER": "jdcloud"}
    loaded = load(path, environ, overrides={"cloud.provider": "stdout"})
    cloud = loaded.config.cloud
    assert (cloud.provider, cloud.namespace, cloud.region, cloud.concurrency) == ("stdout", "env", "cn-east-1", 8)
    assert loaded.origins == {
        "cloud.provider": "flag",
        "cloud.namespace": "STATSD_RELAY_CLOUD_NAMESPACE",
        "cloud.region": f"{path}:3",
    }


def test_values_in_a_file(tmp_path):
    loaded = load(
        write(
            tmp_path,
            """
            listen.udp = ["0.0.0.0:9125"]
            [window]
            idle_gauges = "drop"
            percentiles = [50, 99.9]
            [limits]
            memory = "1GiB"
            [cloud]
            timeout = "500ms"
            secret_key = "s3cret"
            [tags]
            env = "prod"
            """,
        ),
        {},
    )
    config = loaded.config
    assert config.listen.udp == ["0.0.0.0:9125"]
    assert (config.window.percentiles, config.window.idle_gauge_ttl()) == ([50.0, 99.9], 0)
    assert (config.limits.memory, config.cloud.timeout) == (2**30, 0.5)
    assert config.cloud.secret_key.reveal() == "s3cret"
    assert config.tags["env"] == "prod"
    assert "s3cret" not in repr(config)


def test_values_in_variables():
    environ = {
        "STATSD_RELAY_LISTEN_UDP": "127.0.0.1:1, [::1]:2",
        "STATSD_RELAY_TAGS": "env=prod,zone=a=b",
        "STATSD_RELAY_CLOUD_CONCURRENCY": "3",
        "STATSD_RELAY_WINDOW_PERCENTILES": "50,99",
        "STATSD_RELAY_LIMITS_MEMORY": "64MiB",
        "STATSD_RELAY_LISTEN_ALLOW": "",
    }
    config = load(None, environ).config
    assert config.listen.udp == ["127.0.0.1:1", "[::1]:2"]
    assert (config.tags["env"], config.tags["zone"]) == ("prod", "a=b")
    assert (config.cloud.concurrency, config.window.percentiles, config.limits.memory) == (3, [50.0, 99.0], 64 * 2**20)
    assert config.listen.allow == []


def test_host_can_be_switched_off(tmp_path):
    assert load(write(tmp_path, '[tags]\nhost = ""\nenv = "x"'), {}).config.tags == {"env": "x"}


def test_references(tmp_path):
    text = '[cloud]\nnamespace = "${NS}"\nregion = "${R:-cn-south-1}"\n[tags]\nenv = "a-${NS}-b"'
    config = load(write(tmp_path, text), {"NS": "shop"}).config
    assert (config.cloud.namespace, config.cloud.region, config.tags["env"]) == ("shop", "cn-south-1", "a-shop-b")
    [one, two] = problems(tmp_path, '[cloud]\nnamespace = "${NOPE}"\nregion = "${R:?tell me the region}"')
    assert (one.code, one.line) == ("RLY110", 2)
    assert "NOPE" in one.message
    assert "tell me the region" in two.message


def test_every_problem_at_once_with_its_place(tmp_path):
    found = problems(
        tmp_path,
        """[listen]
udpp = ["127.0.0.1:8125"]
udp = "127.0.0.1:8125"
hotpath = "rust"
[clod]
region = "x"
[window]
seconds = 0
[cloud]
timeout = "soon"
endpoint = "ftp://x"
concurrency = "many"
""",
        {"STATSD_RELAY_LIMITS_SERIES": "lots"},
    )
    by_line = {problem.line: problem for problem in found}
    assert {problem.code for problem in found} == {"RLY102"}
    assert by_line[2].fix == "did you mean udp?"
    assert "list" in by_line[3].message
    assert "rust" in by_line[4].message
    assert by_line[5].fix == "did you mean [cloud]?"
    assert "between 1 and 3600" in by_line[8].message
    assert "duration" in by_line[10].message
    assert "http" in by_line[11].message
    assert "a whole number" in by_line[12].message
    assert by_line[0].source == "STATSD_RELAY_LIMITS_SERIES"
    assert len(found) == 9


def test_a_problem_points_at_its_key(tmp_path):
    [problem] = problems(tmp_path, '[listen]\n  udpp = ["x"]\n')
    assert str(problem).splitlines()[1:] == [
        "    2 |   udpp = ***",
        "      |   ^^^^",
        "      fix: did you mean udp?",
    ]
    assert str(problem).startswith(f"{tmp_path}/relay.toml:2:3 error RLY102  unknown key udpp in [listen]")


@pytest.mark.parametrize(
    ("text", "line"), [("[cloud\n", 1), ("[cloud]\nregion = cn-north-1\n", 2), ("a = 1\na = 2\n", 2), ('x = "', 1)]
)
def test_what_is_not_toml(tmp_path, text, line):
    [problem] = problems(tmp_path, text)
    assert (problem.code, problem.line) == ("RLY103", line)


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "nope.toml", tmp_path):
        with pytest.raises(ConfigError, match="RLY103"):
            load(path, {})
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path, {})


def test_unknown_variables_warn_and_injected_ones_do_not():
    environ = {
        "STATSD_RELAY_CLOUD_NAMESPCE": "x",
        "STATSD_RELAY_SERVICE_HOST": "10.0.0.1",
        "STATSD_RELAY_SERVICE_PORT": "8125",
        "STATSD_RELAY_SERVICE_PORT_STATSD": "8125",
        "STATSD_RELAY_PORT": "udp://10.0.0.1:8125",
        "STATSD_RELAY_PORT_8125_UDP": "udp://10.0.0.1:8125",
        "STATSD_RELAY_PORT_8125_UDP_PROTO": "udp",
        "STATSD_RELAY_PORT_8125_UDP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    [warning] = load(None, environ).warnings
    assert (warning.severity, warning.fix) == ("warning", "did you mean STATSD_RELAY_CLOUD_NAMESPACE?")


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        ("listen", 'udp = ["8125"]'),
        ("listen", 'udp = ["127.0.0.1:99999"]'),
        ("listen", 'udp = ["host.name:1"]'),
        ("listen", 'udp = ["::1:8125"]'),
        ("listen", "udp = []"),
        ("listen", 'tcp = ["8125"]'),
        ("listen", 'unix = ["/run/s"]'),
        ("listen", 'unix = ["dgram:relative"]'),
        ("listen", f'unix = ["dgram:/{"x" * 107}"]'),
        ("listen", 'unix = ["dgram:/run/s", "stream:/run/s"]'),
        ("listen", 'unix_mode = "rw-rw-rw-"'),
        ("listen", "stream_connections = 0"),
        ("listen", 'stream_idle = "never"'),
        ("listen", 'line_limit = "1MiB"'),
        ("listen", 'allow = ["10.0.0.0/99"]'),
        ("listen", 'receive_buffer = "lots"'),
        ("listen", "receive_buffer = -1"),
        ("listen", 'dialects = ["klingon"]'),
        ("names", 'prefix = "a-b"'),
        ("tags", 'a-b = "x"'),
        ("tags", "env = 5"),
        ("window", "percentiles = [100]"),
        ("window", 'idle_gauges = "keep:forever"'),
        ("window", 'seconds = "60"'),
        ("limits", "series = 1"),
        ("cloud", 'namespace = ""'),
        ("cloud", 'endpoint = "http://monitor.example.com/v1"'),
        ("cloud", 'endpoint = "https://user:pass@h/"'),
        ("cloud", 'endpoint = "https://h:x/"'),
        ("cloud", "requests_per_minute = 0"),
        ("cloud", 'max_age = "60d"'),
        ("cloud", "secret_key = 5"),
        ("admin", 'listen = "8126"'),
        ("log", 'level = "loud"'),
    ],
)
def test_a_value_that_breaks_its_rule(tmp_path, table, setting):
    [problem] = problems(tmp_path, f"[{table}]\n{setting}\n")
    assert problem.line == 2
    assert "Traceback" not in str(problem)


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x",
        "http://127.0.0.1:8080/v1",
        "http://[::1]:80/x",
        "http://cloud:8080/v1/customMetrics",
        "http://monitor.internal.{region}.jdcloud-api.com/v1/customMetrics",
    ],
)
def test_endpoints_that_are_all_right(tmp_path, url):
    assert load(write(tmp_path, f'[cloud]\nendpoint = "{url}"'), {}).config.cloud.endpoint == url


def test_sockets_beside_udp(tmp_path):
    text = """
        [listen]
        udp = []
        tcp = ["[::1]:8125"]
        unix = ["dgram:/run/a", "stream:/run/b", "datadog:/run/c"]
        unix_mode = "0660"
    """
    listen = load(write(tmp_path, text), {}).config.listen
    assert (listen.udp, len(listen.unix)) == ([], 3)
    assert listen.unix_permissions() == 0o660


def test_addresses():
    assert parse_address("127.0.0.1:8125") == ("127.0.0.1", 8125)
    assert parse_address("[::]:1") == ("::", 1)
    assert parse_address(":8125") == ("0.0.0.0", 8125)


def test_a_short_window_is_allowed_with_a_warning(tmp_path):
    [warning] = load(write(tmp_path, "[window]\nseconds = 1"), {}).warnings
    assert "60" in warning.message


def test_the_example_is_a_valid_file_and_names_every_key(tmp_path):
    text = render.example()
    uncommented = "\n".join(re.sub(r"^# (\w+ = )", r"\1", line) for line in text.splitlines())
    parsed = tomllib.loads(uncommented)
    assert {
        f"{table}.{name}" for table, content in parsed.items() if table != "tags" for name in content
    } == keys().keys()
    config = load(write(tmp_path, uncommented), {}).config
    default = load(None, {}).config
    assert config.cloud == default.cloud
    assert config.listen == default.listen
    assert load(write(tmp_path, text), {}).config == default


def test_every_variable_is_in_the_reference_and_works():
    text = render.environment()
    for variable in variables():
        assert f"{variable}=" in text
    environ = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("STATSD"))
    del environ["STATSD_RELAY_TAGS"], environ["STATSD_RELAY_TAGS_<KEY>"]
    assert load(None, environ).config.cloud == load(None, {}).config.cloud


def test_what_is_in_force_masks_secrets(tmp_path):
    loaded = load(write(tmp_path, '[cloud]\nsecret_key = "s3cret"\nsession_token = "t0ken"\n[tags]\nenv = "x"'), {})
    rows = {row.key: row for row in render.in_force(loaded.config, loaded.origins)}
    assert rows["cloud.secret_key"][1:] == ("***", '"***"', f"{tmp_path}/relay.toml:2")
    assert rows["tags.env"].text == '"x"'
    assert rows["cloud.timeout"][1:] == (10.0, '"10s"', "default")
    assert not any("s3cret" in str(row) or "t0ken" in str(row) for row in rows.values())


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("1h", 3600), ("7d", 604800), (3, 3)]
)
def test_durations(text, seconds):
    assert Seconds.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5 years", "-1s", True, None, []])
def test_what_is_no_duration_or_size(text):
    with pytest.raises(ValueError, match="must be a duration"):
        Seconds.parse(text)
    with pytest.raises(ValueError, match="must be a size"):
        Size.parse(text)


def test_a_secret_masks_itself():
    secret = Secret("s3cret")
    assert f"{secret} {secret!r} {secret:>10} {[secret]}".count("s3cret") == 0
    assert secret.reveal() == "s3cret"


@pytest.mark.parametrize(
    "text", ["[cloud]\nsecret_key = c4n4ry\n", "[cloud]\nsecret_key = 64646464\n", 'cloud.session_token = ["c4n4ry"]\n']
)
def test_a_secret_is_not_shown_by_the_problem_on_its_line(tmp_path, text):
    [problem] = problems(tmp_path, text)
    assert "***" in problem.text
    assert not {"c4n4ry", "64646464"} & set(re.findall(r"\w+", str(problem)))


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ('[cloud]\nmax_age = "700d"', "cloud.max_age must be between 1m and 30d, not 700d", 'max_age = "7d"'),
        ("[spool]\nmax = 1024", "spool.max must be between 1MiB and 1024GiB, not 1KiB", 'max = "1GiB"'),
        ("[cloud]\nconcurrency = 0", "cloud.concurrency must be between 1 and 256, not 0", "concurrency = 8"),
        ('[log]\nformat = "xml"', 'log.format must be "auto", "json" or "text", not "xml"', 'format = "auto"'),
        (
            '[listen]\nudp = "x"',
            'listen.udp must be a list, not a text in quotes: "x"',
            'udp = ["127.0.0.1:8125", "[::1]:8125"]',
        ),
        (
            "[listen]\nreaders = 1.5",
            'listen.readers must be a whole number or "auto", not a number: 1.5',
            'readers = "auto"',
        ),
    ],
)
def test_a_rule_is_in_the_words_and_units_of_the_file(tmp_path, line, message, fix):
    [problem] = problems(tmp_path, line)
    assert (problem.message, problem.fix) == (message, f"the default is {fix}")


def test_problems_come_in_the_order_of_the_file(tmp_path):
    found = problems(tmp_path, "[cloud]\nconcurrency = 0\nregion = 5\n[spol]\nx = 1\n[window]\nseconds = 0\n")
    assert [problem.line for problem in found] == [2, 3, 4, 7]


def test_every_word_that_a_key_may_be_is_in_the_reference():
    assert '("raw", "base64")' in render.example()
    assert '("raw", "base64")' in render.environment()


def test_a_file_that_shows_its_secret_to_all_users(tmp_path):
    path = write(tmp_path, '[cloud]\nsecret_key = "s3cret"\n')
    path.chmod(0o644)
    [warning] = load(path, {}).warnings
    assert (warning.code, warning.severity) == ("RLY121", "warning")
    assert warning.fix == f"chmod 600 {path}, or name a file in cloud.secret_key_file"
    assert "s3cret" not in str(warning)
    path.chmod(0o640)
    assert load(path, {}).warnings == ()
    path = write(tmp_path, '[cloud]\nsecret_key = "${KEY}"\n')
    path.chmod(0o644)
    assert load(path, {"KEY": "s3cret"}).warnings == ()


def test_a_file_to_write_requests_to_must_be_named(tmp_path):
    [problem] = problems(tmp_path, '[cloud]\nprovider = "file"\n')
    assert (problem.code, problem.line, problem.message.partition(":")[0]) == ("RLY110", 2, "cloud.file is missing")
    assert problem.fix


HEADER_KEYS = ("access_key", "secret_key", "session_token", "region", "signature_region", "proxy", "endpoint")
PATH_KEYS = ("access_key_file", "secret_key_file", "session_token_file", "ca_file", "file", "profile")


@pytest.mark.parametrize("key", [*HEADER_KEYS, *PATH_KEYS])
@pytest.mark.parametrize("value", ["http://a\\nb", "http://a\\u0000b", "http://a\\u007fb"])
def test_what_no_header_and_no_path_can_hold_is_refused_in_the_file(key, value, tmp_path):
    [problem] = problems(tmp_path, f'[cloud]\n{key} = "{value}"\n')
    assert (problem.code, problem.line) == ("RLY102", 2)


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "socks5://h:1", "http://", "http://h:99999", "http://h:x"])
def test_a_proxy_that_is_no_url_is_refused(proxy, tmp_path):
    [problem] = problems(tmp_path, f'[cloud]\nproxy = "{proxy}"\n')
    assert "cloud.proxy must be a URL" in problem.message


@pytest.mark.parametrize(
    ("text", "environ", "addresses"),
    [
        ('[admin]\nlisten = "127.0.0.1:1"', {}, ["127.0.0.1:1"]),
        ('[admin]\nlisten = ["0.0.0.0:1", "[::]:1"]', {}, ["0.0.0.0:1", "[::]:1"]),
        ('[admin]\nlisten = ""', {}, []),
        ("[admin]\nlisten = []", {}, []),
        ("", {"STATSD_RELAY_ADMIN_LISTEN": "0.0.0.0:1, [::]:1"}, ["0.0.0.0:1", "[::]:1"]),
        ("", {"STATSD_RELAY_DEFAULT_ADMIN_LISTEN": "0.0.0.0:1,[::]:1"}, ["0.0.0.0:1", "[::]:1"]),
    ],
)
def test_the_admin_port_may_have_several_addresses(text, environ, addresses, tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text(text)
    assert load(path, environ).config.admin.addresses() == addresses


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ('["127.0.0.1:1", "x"]', 'admin.listen "x" must be ADDRESS:PORT'),
        ("8126", "admin.listen must be a text in quotes or a list, not a whole number"),
        ("[8126]", "admin.listen"),
    ],
)
def test_a_wrong_address_of_the_admin_port_is_named(value, rule, tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text(f"[admin]\nlisten = {value}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert rule in str(caught.value)
