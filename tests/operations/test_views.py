"""The Tasks page, and support's admin over operations, stores and organisations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from console.accounts.permissions import SUPPORT_MAY, SUPPORT_SEES
from console.audit.models import AuditEvent
from console.operations.models import Operation
from console.operations.tasks import resume_stalled
from stores.models import Store
from tests import factories


@pytest.fixture
def failed(account):
    return factories.failed_store(
        account,
        name="payroll",
        error="AWS refused s3:PutBucketPolicy.",
        details={"action": "s3:PutBucketPolicy", "statement": '{"Effect": "Allow"}', "request_id": "REQ123"},
    )


@pytest.fixture
def as_support(client, db):
    client.force_login(factories.support())
    return client


def test_task_list_shows_the_story(client, alice, failed):
    client.force_login(alice)
    page = client.get("/tasks/").content.decode()
    for word in ("Create Backup Store", "payroll", "Failed", "s3:PutBucketPolicy", "REQ123", "Effect"):
        assert word in page


@pytest.mark.parametrize(
    ("query", "found"),
    [({"q": "payr"}, 1), ({"q": "nothing"}, 0), ({"state": "failed"}, 1), ({"state": "done"}, 0), ({"state": "x"}, 1)],
)
def test_task_list_filters(client, alice, failed, query, found):
    client.force_login(alice)
    assert len(client.get("/tasks/", query).context["page"].items) == found


def test_task_list_polls_only_while_something_is_unfinished(client, alice, failed):
    client.force_login(alice)
    assert "every 1s" not in client.get("/tasks/").content.decode()
    Operation.objects.update(state="running", finished_at=None)
    assert client.get("/tasks/", headers={"HX-Request": "true"}).content.decode().count("every 1s") == 1


@pytest.mark.parametrize("number", [1, 15])
def test_task_list_asks_the_same_few_questions(client, alice, account, django_assert_num_queries, number):
    for n in range(number):
        factories.failed_store(account, name=f"store-{n}")
    client.force_login(alice)
    # session, user, membership, count, tasks, their stores, navigation pane
    with django_assert_num_queries(7):
        client.get("/tasks/")


def test_task_detail_is_for_members(client, alice, bob, charlie, failed):
    url = failed.operation.get_absolute_url()
    for person, status in ((alice, 200), (bob, 200), (charlie, 404)):
        client.force_login(person)
        assert client.get(url).status_code == status


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_resume_stalled_sends_what_nobody_works_on(account, monkeypatch, waiting):
    """Lost messages, dead workers, a broker that was down: one sweep finds them, and nothing else.

    A message says little more than that there is work, so those that wait in the broker already are not sent again.
    """
    from console.operations.tasks import messages, run_operation

    monkeypatch.setattr(messages, "waiting", lambda queue: waiting)
    sent = []
    monkeypatch.setattr(run_operation, "apply_async", lambda args, **options: sent.append(args[0]))
    now = timezone.now()
    rows = {
        "stalled": ("waiting", now - timedelta(seconds=10)),
        "dead": ("running", now - timedelta(seconds=10)),
        "fresh": ("waiting", now),
        "held": ("running", now + timedelta(seconds=15)),
        "later": ("waiting", now + timedelta(seconds=15)),
    }
    made = {}
    for name, (state, due_at) in rows.items():
        store = factories.store(account, name=name)
        made[name] = Operation.objects.create(
            organisation=account.organisation,
            subject_kind="store",
            subject_id=store.pk,
            subject_name=name,
            verb="create",
            state=state,
            due_at=due_at,
        )
    factories.failed_store(account, name="finished")
    assert resume_stalled() == len(sent) == 2 - waiting
    assert {*sent} <= {str(made["stalled"].pk), str(made["dead"].pk)}


def test_admin_finds_anything(as_support, failed, account):
    for query in (failed.name, str(failed.pk), failed.bucket, account.organisation.name):
        page = as_support.get("/admin/stores/store/", {"q": query})
        assert page.status_code == 200
        assert failed.bucket in page.content.decode()
    for path in (
        "/admin/",
        "/admin/accounts/organisation/",
        "/admin/accounts/user/",
        "/admin/cloud_accounts/cloudaccount/",
        "/admin/operations/operation/?state=failed",
        f"/admin/operations/operation/{failed.operation.pk}/change/",
        f"/admin/stores/store/{failed.pk}/change/",
    ):
        assert as_support.get(path).status_code == 200, path


def test_admin_tries_again_by_the_product_s_own_rules(as_support, failed, account):
    healthy = factories.store(account, name="healthy")
    as_support.post(
        "/admin/stores/store/", {"action": "try_again", "_selected_action": [str(failed.pk), str(healthy.pk)]}
    )
    failed.refresh_from_db()
    healthy.refresh_from_db()
    assert (failed.state, healthy.state) == ("creating", "available")
    assert failed.operation.requested_by.username == "sue"


def test_admin_edits_no_state_by_hand(as_support, failed):
    for model, row in (("stores/store", failed.pk), ("operations/operation", failed.operation.pk)):
        assert as_support.post(f"/admin/{model}/{row}/change/", {"state": "available"}).status_code == 403
        assert as_support.post(f"/admin/{model}/{row}/delete/", {"post": "yes"}).status_code == 403
        assert as_support.get(f"/admin/{model}/add/").status_code == 403
    assert Store.objects.get().state == "failed"


def test_admin_sets_an_edition_and_limits_and_nothing_else(as_support, acme, bob):
    url = f"/admin/accounts/organisation/{acme.pk}/change/"
    as_support.post(
        url,
        {
            "name": "Another name",
            "edition": "developer",
            "stores_at_most": "70",
            "invitations_at_most": "30",
            "operations_at_once": "20",
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "1",
            "memberships-0-id": str(bob.memberships.get().pk),
            "memberships-0-organisation": str(acme.pk),
            "memberships-0-user": str(bob.pk),
            "memberships-0-role": "owner",
        },
    )
    acme.refresh_from_db()
    assert (acme.name, acme.edition, acme.stores_at_most, acme.operations_at_once) == ("Acme", "developer", 70, 20)
    assert bob.memberships.get().role == "viewer"
    event = AuditEvent.objects.get(organisation=acme)
    assert (event.actor_name, event.action) == ("sue", "Support: changed the organisation")
    limits = {"stores_at_most": 70, "invitations_at_most": 30, "operations_at_once": 20}
    assert event.after == {"edition": "developer", **limits}
    assert event.before == {"edition": "enterprise", **dict(zip(limits, (50, 20, 12), strict=True))}


@pytest.mark.slow
def test_admin_lets_support_change_nothing_but_what_the_table_says(as_support):
    """Each page of each model in the admin: added to, changed and deleted by nobody but who may; the rest is seen."""
    may_change = {name for name in SUPPORT_MAY if ".change_" in name}
    for model, kind in admin.site._registry.items():
        label, name = model._meta.app_label, model._meta.model_name
        request = as_support.get("/admin/").wsgi_request
        assert not kind.has_add_permission(request), name
        assert not kind.has_delete_permission(request), name
        assert kind.has_change_permission(request) == (f"{label}.change_{name}" in may_change), name
        assert as_support.get(f"/admin/{label}/{name}/").status_code == (200 if label in SUPPORT_SEES else 403), name


def test_admin_is_for_staff(client, alice):
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
    assert client.get(reverse("home")).status_code == 200


def test_metrics_count_what_is_unfinished(client, failed, settings):
    settings.METRICS_TOKEN = "token"
    bearer = {"Authorization": "Bearer token"}
    answer = client.get("/metrics", headers=bearer).content.decode()
    assert 'storekeeper_operations{state="waiting"} 0' in answer
    Operation.objects.update(state="waiting", finished_at=None, created_at=timezone.now() - timedelta(seconds=90))
    answer = client.get("/metrics", headers=bearer).content.decode()
    assert 'storekeeper_operations{state="waiting"} 1' in answer
    age = next(line for line in answer.splitlines() if line.startswith("storekeeper_oldest_unfinished_seconds"))
    assert float(age.split()[-1]) >= 90
