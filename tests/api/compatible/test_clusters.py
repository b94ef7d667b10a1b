"""Clusters as Terraform's provider and pgEdge's command line make, change and delete them."""

from __future__ import annotations

import pytest

from clusters import actions
from clusters.models import Attachment, Cluster, Repository
from console.audit.models import AuditEvent
from console.operations.models import Operation
from tests import factories
from tests.clusters.conftest import work

KEPT = ("node_location", "networks", "firewall_rules", "resource_tags", "capacity", "ssh_key_id", "regions")


@pytest.fixture
def owner(caller, alice):
    return caller(alice)


@pytest.fixture
def made(owner, declared, amazon):
    """A cluster that a worker has made as it was declared."""
    found = owner.post("/clusters", declared).json()
    work(Cluster.objects.get())
    return found


def same(told, declared):
    """Hold what comes back against what was sent."""
    assert {name: told[name] for name in KEPT} == {name: declared[name] for name in KEPT}
    assert told["backup_store_ids"] == declared["backup_store_ids"]
    assert told["nodes"] == declared["nodes"]


def test_what_was_sent_comes_back_when_it_is_made_and_read(owner, declared, made, account):
    same(made, declared)
    told = owner.get(f"/clusters/{made['id']}").json()
    same(told, declared)
    assert (made["status"], told["status"]) == ("creating", "available")
    assert told["cloud_account"] == {
        "id": str(account.pk),
        "name": "prod",
        "type": "aws",
        "native_id": account.number,
    }
    assert owner.get("/clusters").json() == [told]


def test_nodes_are_made_by_regions_where_none_is_sent(owner, account):
    given = {"name": "a", "cloud_account": {"id": str(account.pk)}, "node_location": "private"}
    told = owner.post("/clusters", {**given, "regions": ["eu-west-1", "us-east-1"]}).json()
    assert [(one["name"], one["region"]) for one in told["nodes"]] == [("n1", "eu-west-1"), ("n2", "us-east-1")]


WRONG = {
    "no name": ({"name": ""}, "name"),
    "a taken name": ({"name": "Taken"}, "name"),
    "no account": ({"cloud_account_id": None}, "cloud_account_id"),
    "an account that is none": ({"cloud_account_id": "mine"}, "cloud_account_id"),
    "a region that is none": ({"nodes": None, "regions": ["mars"]}, "regions"),
    "a region in words": ({"nodes": None, "regions": ["Ireland"]}, "regions: Write Ireland as eu-west-1."),
    "no region": ({"nodes": None, "regions": []}, "regions"),
    "two nodes of one name": (
        {"nodes": [{"name": "a", "region": "eu-west-1"}, {"name": "a", "region": "eu-west-1"}]},
        "nodes: There are two nodes a.",
    ),
    "a store that is none": ({"backup_store_ids": ["x"]}, "backup store is not available to the cluster"),
    "a store that is not there": (
        {"backup_store_ids": ["00000000-0000-4000-8000-000000000000"]},
        "backup store is not available to the cluster",
    ),
    "a location that is none": ({"node_location": "moon"}, "node_location"),
    "a port that is none": ({"firewall_rules": [{"port": 70000}]}, "firewall_rules.0.port"),
    "a node with a field more": ({"nodes": [{"region": "eu-west-1", "colour": "red"}]}, "nodes.0.colour"),
    "a number in a tag": ({"resource_tags": {"a": 1}}, "resource_tags.a"),
    "a long text": ({"ssh_key_id": "x" * 301}, "ssh_key_id"),
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_create_refuses_what_makes_no_sense_and_changes_nothing(owner, declared, account, alice, given):
    actions.create(account, name="taken", regions=["eu-west-1"], stores=[], by=alice)
    changed, said = given
    answer = owner.post("/clusters", {**declared, **changed})
    assert (answer.status_code, said in answer.json()["message"]) == (400, True), answer.content
    assert (Cluster.objects.count(), Operation.objects.count()) == (1, 1)


def test_a_store_of_another_account_or_state_is_not_attached(owner, declared, acme, account):
    other = factories.store(factories.account(acme, name="other"), name="else")
    creating = factories.store(account, name="new", state="creating")
    for store in (other, creating):
        answer = owner.post("/clusters", {**declared, "backup_store_ids": [str(store.pk)]})
        assert "backup store is not available to the cluster" in answer.json()["message"]


# Changing


def test_what_terraform_sends_unchanged_changes_nothing_and_leaves_a_task(owner, declared, made):
    """It sends null for stores and rules, and nothing in nodes and networks; then it waits for a task."""
    sent = {"regions": declared["regions"], "backup_store_ids": None, "firewall_rules": None}
    sent |= {"nodes": [], "networks": [], "resource_tags": {"team": "orders"}}
    told = owner.patch(f"/clusters/{made['id']}", sent).json()
    same(told, declared)
    assert told["status"] == "modifying"
    assert Operation.objects.filter(subject_id=made["id"]).count() == 2
    work(Cluster.objects.get())
    same(owner.get(f"/clusters/{made['id']}").json(), declared)


def test_what_the_command_line_sends_as_it_read_it_changes_nothing(owner, declared, made):
    read = owner.get(f"/clusters/{made['id']}").json()
    sent = {name: value for name, value in read.items() if name not in {"id", "status", "created_at", "updated_at"}}
    sent["backup_store_ids"] = [*read["backup_store_ids"], read["backup_store_ids"][0]]  # attached twice
    told = owner.patch(f"/clusters/{made['id']}", sent).json()
    same(told, declared)
    assert Operation.objects.filter(subject_id=made["id"], verb="update").count() == 1


def test_stores_are_the_whole_new_set_and_none_detaches_all(owner, declared, made, stores, alice):
    path = f"/clusters/{made['id']}"
    sent = {"regions": declared["regions"], "backup_store_ids": [str(stores[0].pk)]}
    assert owner.patch(path, sent).json()["backup_store_ids"] == [str(stores[0].pk)]
    work(Cluster.objects.get())
    assert owner.patch(path, {**sent, "backup_store_ids": []}).json()["backup_store_ids"] == []
    work(Cluster.objects.get())
    assert not Attachment.objects.exists()
    assert all(one.passphrase for one in Repository.objects.all())
    told = AuditEvent.objects.filter(action="Detached stores over the compatible API").order_by("created_at")
    assert [one.before for one in told] == [{"stores": ["far"]}, {"stores": ["near"]}]
    assert {one.actor for one in told} == {alice}


def test_a_store_that_cannot_be_attached_changes_nothing(owner, declared, made):
    sent = {"regions": declared["regions"], "backup_store_ids": ["00000000-0000-4000-8000-000000000000"]}
    sent["nodes"] = [*declared["nodes"], {"name": "n3", "region": "eu-west-1"}]
    answer = owner.patch(f"/clusters/{made['id']}", sent)
    assert (answer.status_code, answer.json()["message"][:44]) == (400, "backup store is not available to the cluster")
    assert Cluster.objects.get().nodes.count() == 2
    same(owner.get(f"/clusters/{made['id']}").json(), declared)


def test_nodes_go_and_come_by_the_names_that_were_sent(owner, declared, made):
    path, regions = f"/clusters/{made['id']}", declared["regions"]
    nodes = [declared["nodes"][1], {"name": "berlin", "region": "eu-central-1", "instance_type": "r6g.medium"}]
    told = owner.patch(path, {"regions": regions, "nodes": nodes}).json()
    assert told["nodes"] == nodes
    cluster = Cluster.objects.get()
    assert [one.name for one in cluster.nodes.all()] == ["n2", "n3"]
    assert [one.name for one in cluster.removed_nodes.all()] == ["n1"]
    work(cluster)
    told = owner.patch(path, {"regions": regions, "nodes": [nodes[1], declared["nodes"][0]]}).json()
    assert [one["name"] for one in told["nodes"]] == ["berlin", "n1"]
    assert [one.name for one in cluster.nodes.all()] == ["n3", "n4"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "other"}, "A cluster keeps its name"),
        ({"cloud_account_id": "00000000-0000-4000-8000-000000000000"}, "A cluster stays in its account"),
        ({"nodes": [{"name": "n1", "region": "us-east-1"}]}, "n1 stays in eu-west-1"),
        ({"nodes": [{"name": "n9", "region": "mars"}]}, "nodes: "),
        ({"regions": None}, "regions: "),
        ({"networks": [{"cidr": "10.0.0.0/8"}]}, "networks.0.region: This is missing."),
    ],
    ids=lambda one: str(one)[:30],
)
def test_update_refuses_what_cannot_be_changed(owner, declared, made, changed, said):
    answer = owner.patch(f"/clusters/{made['id']}", {"regions": declared["regions"], **changed})
    assert (answer.status_code, said in answer.json()["message"]) == (400, True), answer.content
    same(owner.get(f"/clusters/{made['id']}").json(), declared)
    assert Operation.objects.count() == 1


def test_a_cluster_at_work_is_busy(owner, declared):
    path = f"/clusters/{owner.post('/clusters', declared).json()['id']}"
    for answer in (owner.patch(path, {"regions": declared["regions"]}), owner.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (409, 409)


# Deleting


@pytest.mark.parametrize("force", ["", "?force=true"])
def test_a_cluster_with_stores_is_deleted_and_its_passphrases_stay(owner, made, stores, alice, amazon, force):
    path = f"/clusters/{made['id']}"
    before = {one.pk: one.passphrase for one in Repository.objects.all()}
    assert owner.delete(f"{path}{force}").status_code == 204
    assert owner.get(path).json()["backup_store_ids"] == []
    work(Cluster.objects.get())
    assert owner.get(path).json()["code"] == 404
    assert not Attachment.objects.exists()
    kept = {one.pk: one.passphrase for one in Repository.objects.retained().exclude(detached_at=None)}
    assert kept == before
    assert len(kept) == 2
    assert {one.store for one in Repository.objects.all()} == {*stores}
    assert "DeleteRole" in {call for call, _, _ in amazon.calls}
    event = AuditEvent.objects.get(action="Deleted a cluster with its stores attached")
    assert (event.before, event.actor) == ({"stores": ["far", "near"]}, alice)
    tasks = owner.get(f"/tasks?subject_id={made['id']}&name=delete").json()
    assert [one["subject_kind"] for one in tasks] == ["cluster"]
    for store in stores:  # what Terraform does next
        assert owner.delete(f"/backup-stores/{store.pk}").status_code == 204


def test_a_deletion_that_fails_leaves_a_cluster_that_can_be_deleted_again(owner, made, amazon):
    path = f"/clusters/{made['id']}"
    amazon.inject("DeleteInstanceProfile", status=403, code="AccessDenied")
    owner.delete(path)
    work(Cluster.objects.get())
    assert owner.get(path).json()["status"] == "failed"
    amazon.reset()
    assert owner.delete(path).status_code == 204


def test_the_browser_s_rule_stays(account, stores, made, alice):
    from console.cloud_accounts.actions import InUse

    with pytest.raises(InUse):
        actions.delete(Cluster.objects.get(), by=alice)
    assert Cluster.objects.get().state == "available"


def test_nodes_are_shown_with_where_they_are(owner, made):
    path = f"/clusters/{made['id']}/nodes"
    assert [one["name"] for one in owner.get(path).json()] == ["n1", "n2"]
    near = owner.get(f"{path}?near_lat=40.7&near_lon=-74&order_by=distance").json()
    assert [one["name"] for one in near] == ["n2", "n1"]
    assert near[0]["distance_measurement"]["distance"] < near[1]["distance_measurement"]["distance"]
    assert near[0]["availability_zone"] == "us-east-1b"
    for query in ("near_lat=x&near_lon=1", "near_lat=91&near_lon=0", "near_lat=nan&near_lon=0", "order_by=name"):
        assert owner.get(f"{path}?{query}").status_code == 400
