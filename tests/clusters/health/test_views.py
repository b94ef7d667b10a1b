"""Pages say of each database in each store whether it can be restored, and people say when to alarm."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from clusters.health import judgement
from clusters.models import Cluster
from clusters.tasks import judge_due
from console.audit.models import AuditEvent
from tests.clusters.nodes import at, seen, standing, stanza_state
from tests.responses import HTMX, text_of
from tests.sampling import THOROUGH


@pytest.fixture
def cluster(account, alice, stores):
    return standing(account, alice, stores[:1], regions=("eu-west-1", "us-east-1"))


def test_the_pages_say_what_was_judged_the_worst_first(cluster, client, alice):
    seen(cluster, stanza_state(status="damaged", note="it is broken.", backups=[]))
    client.force_login(alice)
    assert "Nothing is judged yet" in client.get(cluster.get_absolute_url()).content.decode()
    judge_due()
    text = client.get(cluster.get_absolute_url()).content.decode()
    assert "The list of backups cannot be read: it is broken." in text
    assert text.index("verdict-not-recoverable") < text.index("verdict-not-set-up")
    text = client.get(at(cluster)).content.decode()
    assert "verdict-not-recoverable" in text
    assert "verdict-not-set-up" not in text


def test_alarm_sets_what_is_allowed_and_has_it_judged(cluster, client, alice, bob):
    judge_due()
    address = f"/clusters/{cluster.pk}/alarm/"
    client.force_login(bob)
    assert client.post(address, {"rpo": "15", "rpo_unit": "minutes"}).status_code == 403
    client.force_login(alice)
    assert client.post(address, {"rpo": "2", "rpo_unit": "hours", "proof_days": "30"}, headers=HTMX).status_code == 204
    found = Cluster.objects.get(pk=cluster.pk)
    assert (found.rpo_minutes, found.proof_days, found.judge_at) == (120, 30, None)
    page = client.get(address).content.decode()
    assert 'value="2"' in page
    assert '<option value="hours" selected>' in page
    assert client.post(address, {"rpo": "", "rpo_unit": "days", "proof_days": ""}).status_code == 302
    assert Cluster.objects.get(pk=cluster.pk).rpo_minutes is None
    events = AuditEvent.objects.filter(action="Said when to alarm")
    assert [one.after for one in events if one.before["rpo_minutes"] is None] == [
        {"rpo_minutes": 120, "proof_days": 30}
    ]
    assert [one.before for one in events if one.after["rpo_minutes"] is None] == [
        {"rpo_minutes": 120, "proof_days": 30}
    ]


def test_alarm_is_no_business_of_a_stranger(cluster, client, charlie):
    client.force_login(charlie)
    assert client.get(f"/clusters/{cluster.pk}/alarm/").status_code == 404


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rpo": "4", "rpo_unit": "minutes"}, "at least 5 minutes"),
        ({"rpo": "367", "rpo_unit": "days"}, "at most 366 days"),
        ({"rpo": "0", "rpo_unit": "hours"}, "greater than or equal to 1"),
        ({"rpo": "1", "rpo_unit": "weeks"}, "weeks is not one of the available choices"),
        ({"proof_days": "0"}, "greater than or equal to 1"),
        ({"rpo": "99999999999999999999", "rpo_unit": "days"}, "at most 366 days"),
    ],
)
def test_alarm_refuses_what_is_out_of_range_and_changes_nothing(cluster, client, alice, given, words):
    client.force_login(alice)
    answer = client.post(f"/clusters/{cluster.pk}/alarm/", given)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    found = Cluster.objects.get(pk=cluster.pk)
    assert (found.rpo_minutes, found.proof_days) == (None, None)


def problems():
    """Each problem that is judged: its code, and the words of its advice as the source has them."""
    source = Path(judgement.__file__).read_text()
    lines = {node.targets[0].id: node.value for node in ast.walk(ast.parse(source)) if named(node)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and len(node.args) > 3:
            advice = node.args[3]
            advice = lines.get(advice.id, advice) if isinstance(advice, ast.Name) else advice
            yield node.args[0].value, " ".join(one.value for one in ast.walk(advice) if is_text(one))


def named(node):
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


ADVICE = sorted({code: text for code, text in problems() if text}.items())
NOT_FOR_VIEWERS = ("set-up script", "Verify", "plan drills")  # what such a page does not show them


@pytest.mark.parametrize(("code", "advice"), ADVICE, ids=[code for code, _ in ADVICE])
def test_advice_leads_where_it_can_be_followed_and_says_whom_to_ask(cluster, client, alice, bob, code, advice):
    """On each page that shows it; `make test` looks at one for the owner and at one for the viewer, in turn."""
    judge_due()
    row = cluster.health.worst_first()[0]
    row.problems = [{"code": code, "verdict": row.verdict, "words": "It is so.", "advice": advice}]
    row.save()
    paths = [cluster.get_absolute_url(), row.node_url, "/overview/databases/"]
    for turn, user in enumerate((alice, bob), ADVICE.index((code, advice))):
        client.force_login(user)
        for path in paths if THOROUGH else [paths[turn % 3]]:
            told = text_of(client.get(path))
            said = told[told.index("It is so.") :].split("</p>")[0].split("</td>")[0]
            asks = "Ask an owner or admin" in said
            assert asks == (user == bob and any(one in advice for one in NOT_FOR_VIEWERS)), (path, said)
            links = re.findall(r'href="([^"]*)"', said)
            assert links or row.told[0].url == path
            assert all(client.get(one).status_code == 200 for one in links)
