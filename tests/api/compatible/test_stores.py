"""Backup stores and tasks, as pgEdge's clients make, watch and delete them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from console.operations.models import Operation
from stores.models import Store
from tests import factories
from tests.clusters import judged
from tests.delivery import deliver


@pytest.fixture
def owner(caller, alice):
    return caller(alice)


@pytest.fixture
def body(account):
    return {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}


def age(**since):
    Operation.objects.update(created_at=timezone.now() - timedelta(**since))


def test_a_store_is_made_and_its_task_is_there_when_that_is_answered(owner, body):
    told = owner.post("/backup-stores", body).json()
    store = Store.objects.get()
    assert (told["id"], told["status"], told["cloud_account_type"]) == (str(store.pk), "creating", "aws")
    assert told["properties"]["bucket_name"] == store.bucket
    assert told["properties"]["log_bucket_arn"].endswith(store.log_bucket)
    assert all(isinstance(one, str) for one in told["properties"].values())
    [task] = owner.get(f"/tasks?subject_id={told['id']}&subject_kind=backup_store").json()
    assert (task["id"], task["status"], task["name"]) == (str(store.operation_id), "running", "create")


def test_a_store_without_access_logs_of_its_own_names_no_bucket_for_them(owner, account):
    for logs, told in (({"logs": "named", "logs_into": "elsewhere"}, "elsewhere"), ({"logs": "none"}, None)):
        store = factories.store(account, name=logs["logs"], **logs)
        properties = owner.get(f"/backup-stores/{store.pk}").json()["properties"]
        assert properties.get("log_bucket_name") == told
        assert ("log_bucket_arn" in properties) is bool(told)


def test_the_only_region_need_not_be_said_and_others_must(owner, body, acme):
    server = factories.server(acme)
    told = owner.post("/backup-stores", {"name": "a", "cloud_account_id": str(server.pk)}).json()
    assert (told["properties"]["region"], told["cloud_account_type"]) == ("us-east-1", "s3")
    answer = owner.post("/backup-stores", {**body, "region": None})
    assert (answer.status_code, answer.json()["message"]) == (400, "region: Choose a region.")


def test_google_is_called_as_pgedge_calls_it(owner, acme):
    account = factories.google(acme)
    store = factories.store(account, region="europe-west1")
    assert owner.get(f"/backup-stores/{store.pk}").json()["cloud_account_type"] == "gcp"
    assert owner.get(f"/cloud-accounts/{account.pk}").json()["type"] == "gcp"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "name: "),
        ({"name": "a\u202eb"}, "name: The name holds"),
        ({"name": "x" * 61}, "name: "),
        ({"name": "Taken"}, "name: A backup store of this name exists"),
        ({"cloud_account_id": "mine"}, "cloud_account_id: This is no ID."),
        ({"cloud_account_id": "00000000-0000-4000-8000-000000000000"}, "cloud_account_id: There is no such"),
        ({"region": "mars"}, "region: "),
        ({"versions_days": 3}, "versions_days: There is no such field."),
    ],
    ids=lambda one: ascii(one)[:40],
)
def test_create_refuses_what_makes_no_sense(owner, body, account, changed, said):
    factories.store(account, name="taken")
    answer = owner.post("/backup-stores", {**body, **changed})
    assert (answer.status_code, said in answer.json()["message"]) == (400, True), answer.content
    assert Store.objects.count() == 1


def test_a_limit_that_is_reached_is_a_400(owner, body, acme):
    acme.stores_at_most = 0
    acme.save()
    answer = owner.post("/backup-stores", body)
    assert (answer.status_code, "0 of 0 stores" in answer.json()["message"]) == (400, True)


def test_a_store_is_deleted_unless_it_is_in_use_or_at_work(owner, account):
    store = factories.store(account)
    judged.cluster(account, stores=[store])
    answer = owner.delete(f"/backup-stores/{store.pk}")
    assert (answer.status_code, answer.json()["message"][:37]) == (400, "backup store is in use by clusters: a")
    free = factories.store(account, name="free")
    assert owner.delete(f"/backup-stores/{free.pk}").status_code == 204
    assert owner.delete(f"/backup-stores/{free.pk}").status_code == 409
    assert owner.get(f"/backup-stores/{free.pk}").json()["status"] == "deleting"
    assert owner.get(f"/backup-stores/{store.pk}").json()["cluster_ids"]


# Tasks


def test_a_list_of_one_s_tasks_calls_what_has_just_begun_running_and_by_id_says_the_truth(owner, body, amazon):
    told = owner.post("/backup-stores", body).json()
    deliver(Store.objects.get().operation_id)
    query = f"/tasks?subject_id={told['id']}&subject_kind=backup_store"
    [task] = owner.get(query).json()
    assert task["status"] == "running"
    assert [one["status"] for one in owner.get(f"{query}&id={task['id']}").json()] == ["succeeded"]
    assert [one["status"] for one in owner.get(f"{query}&status=succeeded").json()] == ["succeeded"]
    assert [one["status"] for one in owner.get("/tasks").json()] == ["succeeded"]
    assert owner.get(f"{query}&status=running").json() == []
    age(seconds=11)
    assert [one["status"] for one in owner.get(query).json()] == ["succeeded"]


def test_messages_come_by_time_and_all_is_said_at_the_end(owner, body, amazon):
    owner.post("/backup-stores", body)
    deliver(Store.objects.get().operation_id)
    [task] = owner.get("/tasks").json()
    stamps = [one["time"] for one in task["messages"]]
    assert stamps == sorted(stamps)
    assert [one["status"] for one in task["messages"]].count("succeeded") == len(stamps) / 2 == 7
    assert "error" not in task


@pytest.mark.parametrize(
    ("state", "fence", "status"),
    [
        ("waiting", 0, "queued"),
        ("waiting", 2, "running"),
        ("running", 1, "running"),
        ("done", 1, "succeeded"),
        ("failed", 1, "failed"),
        ("refused", 1, "failed"),
        ("cancelled", 1, "failed"),
    ],
)
def test_each_state_has_a_status_and_is_found_by_it(owner, acme, state, fence, status):
    over = {} if state in {"waiting", "running"} else {"finished_at": timezone.now()}
    over |= {"error": "No."} if state in {"failed", "refused"} else {}
    over |= {"cancel": "wanted"} if state == "cancelled" else {}
    made = Operation.objects.create(
        organisation=acme, subject_kind="store", subject_id=acme.pk, subject_name="a", verb="create", title="Create",
        state=state, fence=fence, **over,
    )  # fmt: skip
    [task] = owner.get(f"/tasks?status={status}").json()
    assert (task["id"], task["status"], task["subject_kind"]) == (str(made.pk), status, "backup_store")
    assert ("error" in task) == (status == "failed")
    others = {"queued", "running", "succeeded", "failed"} - {status}
    assert not [one for other in others for one in owner.get(f"/tasks?status={other}").json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("id=00000000-0000-4000-8000-000000000000", []),
        ("name=nothing", []),
        ("subject_kind=database", []),
        ("subject_kind=store", []),
        ("subject_id=00000000-0000-4000-8000-000000000000", []),
        ("id=1", 400),
        ("subject_id=x", 400),
        ("status=tired", 400),
        ("status=", 400),
    ],
)
def test_unknown_values_find_nothing_and_malformed_ones_are_refused(owner, body, query, expected):
    owner.post("/backup-stores", body)
    answer = owner.get(f"/tasks?{query}")
    assert (answer.json() if answer.status_code == 200 else answer.status_code) == expected


def test_there_is_no_address_of_one_task(owner, body):
    owner.post("/backup-stores", body)
    pk = Operation.objects.get().pk
    assert owner.get(f"/tasks/{pk}", held=False).json() == {"message": "Not Found"}
