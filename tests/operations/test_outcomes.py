"""A message about a task: neither green nor gone before the task has ended, and then it says how."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from console.operations import outcomes, registry
from console.operations.models import Operation
from stores import plans  # noqa: F401 - it registers the verbs
from tests import factories
from tests.responses import HTMX, text_of, words_of


def task(account, state, **values):
    ended = None if state in Operation.UNFINISHED else timezone.now()
    error = "AWS refused it." if state in {"failed", "refused"} else ""
    given = {
        "subject_kind": "store",
        "verb": "create",
        "title": "Create Backup Store",
        "subject_name": "weak",
        **values,
    }
    cancel = {"cancel": "wanted"} if state == "cancelled" else {}
    return Operation.objects.create(
        organisation=account.organisation, subject_id=account.pk, state=state, error=error, finished_at=ended,
        **cancel, **given,
    )  # fmt: skip


@pytest.mark.parametrize("state", Operation.UNFINISHED)
def test_a_task_that_has_not_ended_changes_no_message(as_alice, account, state):
    answer = as_alice.get(outcomes.address(task(account, state)), headers=HTMX)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        ("done", "success", "weak is created."),
        ("failed", "error", "Create Backup Store: weak failed. AWS refused it."),
        ("refused", "warning", "Create Backup Store: weak was refused. AWS refused it."),
        ("cancelled", "warning", "Create Backup Store: weak was cancelled."),
    ],
)
def test_a_task_that_has_ended_takes_the_place_of_its_message(as_alice, account, state, level, words):
    ended = task(account, state)
    answer = as_alice.get(outcomes.address(ended), headers=HTMX)
    page = text_of(answer)
    assert f'class="flash {level}"' in page
    assert ended.get_absolute_url() in page
    assert "hx-get" not in page  # nothing is followed any more
    assert words in words_of(answer)


def test_every_verb_says_in_words_that_it_is_done(account):
    for (kind, verb), work in registry._works.items():
        done = task(account, "done", subject_kind=kind, verb=verb, title=work.title)
        assert outcomes.text(done) == f"weak {work.ended}.", (kind, verb)
        assert work.ended, (kind, verb)


def test_a_verb_that_this_release_does_not_know_is_done_all_the_same(account):
    assert outcomes.text(task(account, "done", verb="polish", title="Polish")) == "Polish: weak is done."


def test_every_state_has_a_colour():
    assert {*outcomes.LEVELS} == {*Operation.State} - {*Operation.UNFINISHED}


def test_without_scripts_it_leads_to_the_task(as_alice, account):
    ended = task(account, "failed")
    assert as_alice.get(outcomes.address(ended))["Location"] == ended.get_absolute_url()


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 200), ("charlie", 404)])
def test_it_is_told_to_the_organisation_alone(client, request, account, who, status):
    client.force_login(request.getfixturevalue(who))
    assert client.get(outcomes.address(task(account, "failed")), headers=HTMX).status_code == status


def follows(answer):
    """Return the class and the address of the message that the page shows."""
    [(css, rest)] = re.findall(r'<p class="flash (\w+)"([^>]*)>', text_of(answer))
    found = re.search(r'hx-get="([^"]*)"', rest)
    return css, found[1] if found else ""


def test_what_has_only_begun_is_no_success(as_alice, account):
    given = {"provider": "aws", "name": "weak", "cloud_account": str(account.pk), "region": "eu-west-1"}
    answer = as_alice.post(reverse("stores:create"), given, follow=True)
    begun = Operation.objects.get()
    assert follows(answer) == ("info", outcomes.address(begun))
    assert "weak is being created." in words_of(answer)


def test_trying_again_follows_the_new_task(as_alice, account):
    failed = factories.failed_store(account)
    answer = as_alice.post(reverse("stores:retry", args=[failed.pk]), follow=True)
    again = Operation.objects.exclude(pk=failed.operation_id).get()
    assert follows(answer) == ("info", outcomes.address(again))


def test_what_cannot_begin_is_no_message_that_follows(as_alice, account):
    store = factories.failed_store(account)
    answer = as_alice.post(reverse("stores:verify", args=[store.pk]), follow=True)
    assert follows(answer) == ("error", "")  # it is not checked in this state
