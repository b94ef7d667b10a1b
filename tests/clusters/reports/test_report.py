"""Reports are untrusted: each value is as it should be, or the report is refused, and says what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.reports.report import Malformed, Report, of_form, of_json, of_status
from tests.clusters.reports.sent import content, stanza


def read(**values):
    return of_json(json.dumps(content(**values)).encode())


def test_what_a_node_says_is_what_is_kept():
    report = read(
        runs=[{"stanza": "orders", "kind": "full", "repository": 1, "begun": 5, "ended": 9, "code": 55, "line": "no"}],
        others=[{"port": 5433, "data_directory": "/srv/pg", "is_archived": False}],
    )
    assert of_status(json.loads(json.dumps(report.status()))) == report
    assert report.of("orders").major == 15
    assert (report.runs[0].has_failed, report.others[0].port) == (True, 5433)


def test_what_nobody_here_knows_is_left_alone():
    report = read(version=3, moon="full", stanzas=[stanza(phase=[1, {}])], runs=[{"stanza": "orders", "x": None}])
    assert report.of("orders").role == "primary"


def test_every_part_but_the_digest_may_be_missing_or_null():
    for name in content():
        if name not in {"version", "sha256"}:
            given = content()
            del given[name]
            of_json(json.dumps(given).encode())
            read(**{name: None})
    for name in stanza():
        if name != "name":
            read(stanzas=[stanza(**{name: None})])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"version": 1}, "version has to be a whole number from 2"),
        ({"version": None}, "version has to be 2"),
        ({"version": True}, "version has to be"),
        ({"sha256": "Z" * 64}, "sha256 has to be text like"),
        ({"sha256": 5}, "sha256 has to be text"),
        ({"sent": -1}, "sent has to be"),
        ({"sent": 1.5}, "sent has to be"),
        ({"sent": 2**40}, "sent has to be"),
        ({"by_hand": "yes"}, "by_hand has to be true or false"),
        ({"pgbackrest": "<script>"}, "pgbackrest has to be"),
        ({"timezone": "../../etc/passwd"}, "timezone has to be"),
        ({"utc_offset": "+25"}, "utc_offset has to be"),
        ({"repositories": [0]}, "repositories has to be"),
        ({"repositories": ["1"]}, "repositories has to be"),
        ({"repositories": list(range(1, 300))}, "repositories has to be"),
        ({"stanzas": {}}, "stanzas has to be a list"),
        ({"stanzas": [1]}, "stanzas has to be a list"),
        ({"stanzas": [stanza()] * 2}, "twice"),
        ({"stanzas": [stanza(f"s{n}") for n in range(65)]}, "at most 64"),
        ({"stanzas": [stanza(None)]}, "stanzas[0].name is missing"),
        ({"stanzas": [stanza(), stanza("../x")]}, "stanzas[1].name has to be"),
        ({"stanzas": [stanza(role="king")]}, "stanzas[0].role has to be primary or standby"),
        ({"stanzas": [stanza(timeline=0)]}, "stanzas[0].timeline has to be a whole number from 1"),
        ({"stanzas": [stanza(timeline=2**32)]}, "stanzas[0].timeline"),
        ({"stanzas": [stanza(system_id="7 ")]}, "stanzas[0].system_id"),
        ({"stanzas": [stanza(archiver=[])]}, "stanzas[0].archiver has to be an object"),
        ({"stanzas": [stanza(archiver={"last_wal": "x"})]}, "stanzas[0].archiver.last_wal"),
        ({"stanzas": [stanza(archiver={"failed": -1})]}, "stanzas[0].archiver.failed"),
        ({"runs": [{"code": 256}]}, "runs[0].code"),
        ({"others": [{"port": 0}]}, "others[0].port"),
        ({"others": [{}]}, "others[0].port is missing"),
    ],
)
def test_what_is_wrong_is_named(values, said):
    with pytest.raises(Malformed) as refused:
        read(**values)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 16000, b'{"a":' * 3000, b'{"version":2,"sha256":NaN}',
     b'{"version":2,"sha256":"","sent":' + b"9" * 5000 + b"}", b"{}", b'{"version":2}', b"sha256=" + b"0" * 64],
)  # fmt: skip
def test_what_is_no_report_is_refused(body):
    with pytest.raises(Malformed):
        of_json(body)


def test_texts_are_cut_and_cleaned():
    (run,) = read(runs=[{"line": "a\x00b\u202ec\ud800d" + "x" * 5000}]).runs
    assert run.line.startswith("a b c d")
    assert len(run.line) == 200


def test_a_run_that_says_nothing_is_kept_and_read_again():
    """What could not be read again took the rest of the node's report with it."""
    report = read(runs=[{}])
    assert of_status(json.loads(json.dumps(report.status()))) == report


def test_a_status_of_another_release_is_none():
    assert of_status({"stanzas": 5}) == of_status([]) == of_status(None) == of_status({}) == Report()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
PARTS = [*content(), "primary_since"]


@pytest.mark.slow
@settings(derandomize=True, max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(PARTS), JSON, max_size=4), st.dictionaries(st.sampled_from([*stanza()]), JSON))
def test_whatever_comes_is_read_or_refused(values, inner):
    """And what is read is kept as the same: nothing that the database or a page would stumble over."""
    try:
        report = read(**{"stanzas": [stanza(**inner)], **values})
    except Malformed:
        return
    kept = json.loads(json.dumps(report.status(), allow_nan=False))
    assert of_status(kept) == report
    text = json.dumps(kept, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()


@given(st.binary(max_size=300))
def test_whatever_bytes_come_are_refused(body):
    with pytest.raises(Malformed):
        of_json(body)


FIELDS = ["sha256", "version", "machine", "system_id.a", "timeline.a", "system_id.\0"]


@given(st.dictionaries(st.sampled_from(FIELDS), st.text()))
def test_whatever_form_comes_is_read_or_refused(sent):
    try:
        report = of_form({"sha256": "0" * 64, **sent})
    except Malformed:
        return
    assert all(one.name == "a" for one in report.stanzas)
