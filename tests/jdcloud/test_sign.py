"""Signing: the official vector, and the official SDK as an oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from logging import getLogger

import pytest
from jdcloud_sdk.core import const
from jdcloud_sdk.core.credential import Credential
from jdcloud_sdk.core.signer import Signer as OfficialSigner

from relay.config.types import Secret
from relay.jdcloud.cloud import JDCloud, host_header
from relay.jdcloud.sign import Signer, canonical_request

NOW = 1_550_141_114.0  # 2019-02-14T10:45:14Z
URL = "https://monitor.cn-north-1.jdcloud-api.com/v1/customMetrics"


def make(**changes) -> Signer:
    settings = {"access_key": "TESTAK", "secret_key": Secret("TESTSK"), "region": "cn-north-1"}
    return Signer(**{**settings, **changes})


def test_the_official_vector():
    url = "https://test.jdcloud-api.com/v1/resource:action?p1=p1&p0=p0&o=%&u=u"
    headers = {"x-my-header": "test", "x-my-header_blank": " blank"}
    sent = make(service="test").sign("POST", url, headers, b"body data", now=NOW, nonce="testnonce")
    assert sent["x-jdcloud-date"] == "20190214T104514Z"
    canonical = canonical_request("POST", url, headers, b"")
    assert canonical.splitlines()[1:3] == ["/v1/resource%3Aaction", "o=%25&p0=p0&p1=p1&u=u"]
    assert sent["authorization"].endswith("Signature=2a98f83c074e7bee260bfc8ef64f009c07595bd93f7f0c3f4e156bf6479ed9bf")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"metricDataList":[]}'])
def test_the_sdk_signs_the_same(body):
    theirs = {"content-type": "application/json"}
    OfficialSigner(getLogger("quiet")).sign(
        method="POST",
        service="monitor",
        region="cn-north-1",
        uri=URL,
        headers=theirs,
        data=body.decode(),
        credential=Credential("TESTAK", "TESTSK"),
        security_token=None,
    )
    now = datetime.strptime(theirs[const.JDCLOUD_DATE], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    headers = {"content-type": "application/json", "host": "monitor.cn-north-1.jdcloud-api.com"}
    ours = make().sign("POST", URL, headers, body, now=now, nonce=theirs[const.JDCLOUD_NONCE])
    assert theirs[const.JDCLOUD_AUTH] == ours["authorization"]


def test_a_session_token_is_signed():
    headers = {"host": "h"}
    raw = make(session_token=Secret("tok")).sign("POST", URL, headers, b"", now=NOW, nonce="n")
    assert raw["x-jdcloud-security-token"] == "tok"
    assert "x-jdcloud-security-token" in raw["authorization"]
    encoded = make(session_token=Secret("tok"), token_encoding="base64").sign(
        "POST", URL, headers, b"", now=NOW, nonce="n"
    )
    assert encoded["x-jdcloud-security-token"] == "dG9r"


def test_version_3_has_its_own_names():
    sent = make(version="v3").sign("POST", URL, {"host": "h"}, b"", now=NOW, nonce="n")
    assert sent["authorization"].startswith(
        "JDCLOUD3-HMAC-SHA256 Credential=TESTAK/20190214/cn-north-1/monitor/jdcloud3_request,"
    )
    assert sent["x-jdcloud-algorithm"] == "JDCLOUD3-HMAC-SHA256"


def test_the_secret_shows_nowhere():
    signer = make()
    cloud = JDCloud(endpoint=URL, region="r", signer=signer, nonce=lambda: "n")
    assert (
        "TESTSK"
        not in f"{signer!r} {cloud!r} {cloud.request_headers(b'', now=NOW)} {Secret('TESTSK')!r} {Secret('TESTSK')}"
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (URL, "monitor.cn-north-1.jdcloud-api.com"),
        ("https://h:443/x", "h"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://[::1]:8080/x", "[::1]:8080"),
        ("http://[::1]/x", "[::1]"),
    ],
)
def test_the_host_header(url, host):
    assert host_header(url) == host
