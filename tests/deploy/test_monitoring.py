"""What Prometheus, Grafana and Loki are handed names what there is: figures, labels, states, actions, fields."""

from __future__ import annotations

import json
import logging
import re

import pytest
import yaml
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.metrics import GAUGES
from clusters.models import Cluster, Health, Node, Repository
from console.clouds import calls
from console.operations.heartbeats import Heartbeat
from console.web import logs, middleware
from console.web.logs import JSONFormatter, Origin, WithOrigin
from stores.models import State
from tests import factories, walk
from tests.demo_process import ROOT

MONITORING = ROOT / "console" / "deploy" / "monitoring"
PAGE = (MONITORING / "README.md").read_text()
RULES = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
PANELS = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
QUERIES = [rule["expr"] for rule in RULES] + [one["expr"] for panel in PANELS for one in panel["targets"]]
SELECTED = re.compile(r"(storekeeper_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"')
OF_SERIES = {"le"}  # of a histogram's buckets


@pytest.fixture
def judged(acme, account):
    """A database that can be restored from a store."""
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="orders")
    Node.objects.create(cluster=cluster, name="n1", region="eu-west-1")
    now = timezone.now()
    times = dict.fromkeys(("oldest", "newest", "backup_at", "full_at", "wal_at", "read_at", "proved_at"), now)
    repository = Repository.objects.create(cluster=cluster, number=1, store=factories.store(account))
    keys = {"organisation": acme, "cluster": cluster, "repository": repository, "node": "n1", "database": "orders"}
    return Health.objects.create(**keys, **times, proof_seconds=60, verdict=Verdict.RECOVERABLE)


@pytest.fixture
def figures(client, judged, settings, django_capture_on_commit_callbacks):
    """The names that /metrics has, with the labels of each, once a request, a call and an event were counted."""
    settings.METRICS_TOKEN = "token"
    for kind in Heartbeat.Kind.values:
        Heartbeat.objects.create(
            kind=kind, host="a", pid=1, release="1", host_time=timezone.now(), waiting={"celery": 1}
        )
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/login/", {"username": "nobody", "password": "wrong"})
    calls.tell("s3", "CreateBucket", "AccessDenied", 0.1, {})
    text = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    found = {}
    for name, labels in re.findall(r"^(storekeeper_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_figure_and_label_that_is_asked_for_exists(figures):
    asked = [(name, matchers) for query in QUERIES for name, matchers in SELECTED.findall(query)]
    assert len(asked) > 25
    for name, matchers in asked:
        assert name in figures, f"/metrics has no {name}"
        assert {label for label, _ in MATCHER.findall(matchers)} <= figures[name], name
    for query in QUERIES:
        for labels in re.findall(r"\bby \(([^)]*)\)", query):
            known = set().union(*(figures[name] for name, _ in SELECTED.findall(query)))
            assert {one.strip() for one in labels.split(",")} <= known | OF_SERIES, query


def test_every_value_that_is_asked_for_exists():
    source = "".join(
        path.read_text() for app in ("console", "stores", "clusters") for path in (ROOT / app).rglob("*.py")
    )
    actions = {*re.findall(r'"([A-Z][^"\n]*)"', source)}
    known = {"action": actions, "state": {*State.values}, "view": {one.name for one in walk.routes()}}
    known |= {"verdict": {*Verdict.values}, "backup_type": {"full", "incr"}}
    tried = set()
    for query in QUERIES:
        for label, value in MATCHER.findall(query):
            if label in known:
                assert {*value.split("|")} <= known[label], f"there is no {label} {value}"
                tried.add(label)
    assert tried == {*known}


def test_every_rule_says_how_urgent_it_is_and_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 10
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")


def test_every_panel_has_a_title_a_place_and_a_source():
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies on another"
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert {one["datasource"]["uid"] for one in panel["targets"]} == {"${datasource}"}


def test_what_a_rule_says_of_names_is_in_its_figures(figures):
    for rule in RULES:
        named = {*re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))}
        kept = {one.strip() for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for one in labels.split(",")}
        assert named <= kept, rule["alert"]


def test_every_figure_of_databases_is_described(figures):
    [table] = [one for one in PAGE.split("\n\n") if "`storekeeper_stanza_status`" in one]
    assert {*re.findall(r"^\| `(storekeeper_\w+)` \|", table, re.MULTILINE)} == {
        f"storekeeper_{one.name}" for one in GAUGES
    } | {"storekeeper_databases", "storekeeper_node_report_timestamp_seconds"}


def described(heading):
    """The fields of the table after the words."""
    table = PAGE[PAGE.index(heading) :].split("\n\n")[1]
    return {*re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)}


def written(logger, **more):
    """The members of a line of the log."""
    record = logging.LogRecord(logger, logging.INFO, __file__, 1, "said", (), more.pop("exc_info", None))
    vars(record).update(more)
    token = logs.origin.set(Origin(*["x"] * len(vars(Origin()))))
    try:
        WithOrigin().filter(record)
        return {*json.loads(JSONFormatter().format(record))}
    finally:
        logs.origin.reset(token)


def test_every_field_of_a_line_is_described():
    always, sometimes = described("Every line has these:"), described("These where they apply:")
    assert written("any", exc_info=(ValueError, ValueError("x"), None)) == always | sometimes
    assert {"time", "level", "logger", "message"} == always


def test_every_field_of_the_three_logs_is_described(client, db, caplog, django_capture_on_commit_callbacks):
    caplog.set_level(logging.INFO)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/login/", {"username": "nobody", "password": "wrong"})
    ids = {"aws_request_id": "a", "aws_host_id": "b", "google_upload_id": "c"}
    calls.tell("s3", "CreateBucket", "", 0.1, ids)
    data = {one.name: {*one.data} for one in caplog.records if hasattr(one, "data")}
    for logger in (middleware.log.name, calls.log.name, "storekeeper.audit"):
        assert data[logger] == described(f"`{logger}`, one line for each"), logger


def test_the_ids_of_calls_that_are_described_are_those_that_clouds_give():
    source = "".join(path.read_text() for path in (ROOT / "console" / "clouds").rglob("*.py"))
    assert {*re.findall(r'"((?:aws|google|azure)_(?:request|host|upload)_id)"', source)} == {
        "aws_request_id",
        "aws_host_id",
        "google_upload_id",
    }


def test_loki_is_given_fields_that_lines_have():
    config = (MONITORING / "logs.alloy").read_text()
    [expressions] = re.findall(r"expressions = \{([^}]*)\}", config)
    named = {*re.findall(r'= "(\w+)"', expressions)}
    assert named <= described("Every line has these:") | described("These where they apply:")
    for values in re.findall(r"values = \{([^}]*)\}", config):
        assert {*re.findall(r'= "(\w+)"', values)} <= named


def test_every_file_is_named_on_the_page():
    named = {*re.findall(r"\]\(([\w.-]+)\)", PAGE)}
    assert named == {path.name for path in MONITORING.iterdir()} - {"README.md"}
