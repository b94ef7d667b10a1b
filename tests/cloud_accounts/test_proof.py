"""Links prove that the account's administrator lets their organisation in, before anything is done with them."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from clusters.models import Attachment, Bringing, Cluster, Inventory, RecoveryIdentity, Repository
from clusters.node_setup import node_setups
from console.accounts.models import Membership
from console.audit.models import AuditEvent
from console.cloud_accounts import actions
from console.cloud_accounts.models import Attempt, CloudAccount, Preflight, Verification
from console.clouds import CLOUDS
from console.clouds.proof import FOUND
from console.operations import registry, snapshots
from console.operations.actions import NotNow, begin
from console.restoration.models import FolderScan, NodeFile, Restoration
from stores.models import BucketLook, DeletionPreview, DriftReport, RetainedLogs, UnmanagedScan
from tests import factories
from tests.cloud_accounts.linking import submit
from tests.responses import HTMX

WAYS = [(key, way.key) for key, cloud in CLOUDS.items() for way in cloud.linking.sign_ins]
UNGUARDED = [
    (key, way.key) for key, cloud in CLOUDS.items() for way in cloud.linking.sign_ins if way.proof == "console"
]
LINK = "/cloud-accounts/link/"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """A function that opens the world of a cloud, once."""
    opened = {}

    def world(key):
        if key not in opened:
            module = import_module(f"tests.worlds.{key}")
            opened[key] = open_worlds.enter_context(module.opened(tmp_path_factory.mktemp(key)))
        found = opened[key]
        found.clear()
        found.clear_faults()
        found.forget()
        return found

    with ExitStack() as open_worlds:
        yield world


@pytest.fixture
def given(request, worlds, settings):
    """The world, the way to sign in, and the answers that are posted, without a secret and with it."""
    key, method = request.param
    world, linking = worlds(key), CLOUDS[key].linking
    answers = world.signing_in(method)
    deployed = {name: value for name, value in asdict(answers.deployment).items() if value}
    known = settings.DEPLOYMENT_SETTINGS
    settings.DEPLOYMENT_SETTINGS = {**known, key: {**known.get(key, {}), **deployed}}
    asked = {one.name for one in linking.fields}
    public = {name: value for name, value in answers.settings.items() if name in asked}
    public |= {"provider": key, "name": "linked", **({"method": method} if method else {})}
    return world, linking.sign_in(answers), public, {**public, **answers.secrets}


def own_id(client, provider):
    return client.get(LINK, {"provider": provider}).context["external_id"]


def put(world, answers, external_id):
    """Have the account's administrator put this ID where its cloud wants it."""
    settings = {**answers, "external_id": external_id}
    world.prove(CloudAccount(provider_key=world.key, settings=settings).credentials())


@pytest.mark.slow
@pytest.mark.parametrize("given", WAYS, indirect=True, ids=lambda way: "-".join(way).strip("-"))
def test_a_second_organisation_is_refused_with_the_first_one_s_answers(as_alice, client, acme, charlie, given):
    world, way, public, answers = given
    client.force_login(charlie)
    if way.takes_external_id:
        refused = submit(as_alice, LINK, answers, headers=HTMX)
        assert refused.status_code == 422
        assert "external ID" in str(refused.context["form"].errors)
        assert not CloudAccount.objects.exists()
        put(world, answers, own_id(as_alice, answers["provider"]))
    else:
        own_id(client, answers["provider"])
    before = world.look()
    assert submit(as_alice, LINK, answers, headers=HTMX).status_code == 200
    account = CloudAccount.objects.get()
    assert account.organisation == acme
    assert not account.unproven
    # All that the stranger may know: the answers but the secret, and what the first one's link has in its settings.
    known = {**account.settings, **public}
    for answer in (
        submit(client, LINK, public, headers=HTMX),
        submit(client, LINK, {**known, FOUND: "x"}, headers=HTMX),
    ):
        assert answer.status_code == 422
        errors = answer.context["form"].errors
        assert "external ID" in str(errors) if way.takes_external_id else errors.keys() & set(answers)
    assert CloudAccount.objects.count() == 1
    assert world.look() == before
    if way.takes_external_id:
        event = AuditEvent.objects.latest("created_at")
        assert (event.action, event.outcome) == ("Linked cloud account", "refused")


@pytest.mark.parametrize("given", WAYS, indirect=True, ids=lambda way: "-".join(way).strip("-"))
def test_the_dialog_shows_the_external_id_where_it_is_asked_for(as_alice, given):
    _, way, public, _ = given
    page = as_alice.get(LINK, {"provider": public["provider"]}).content.decode()
    linking, wanted = CLOUDS[public["provider"]].linking, own_id(as_alice, public["provider"])
    assert (wanted in page) is any(one.takes_external_id for one in linking.sign_ins)
    if way.proof == "console":
        number = [one.key for one in linking.sign_ins].index(way.key) + 1
        part = page.partition(f'<div class="access" data-only-way="{number}">')[2].partition("</div>\n")[0]
        assert way.where in part
        assert wanted in part
        files = {*re.findall(rf'"({LINK}{public["provider"]}/[^/"]+\.(?:sh|tf)/)"', page)}
        assert len(files) == 2
        assert all(wanted in as_alice.get(url).content.decode() for url in files)


@pytest.fixture
def linked(given, acme, alice):
    """An account that was linked before links had to prove themselves, with a store and a cluster; and its world."""
    world, _way, answers, _ = given
    membership = Membership.objects.get(user=alice)
    external_id = actions.external_id(membership)
    put(world, answers, external_id)
    asked = {
        **{name: answers[name] for name in answers if name not in {"provider", "name"}},
        "external_id": external_id,
    }
    account = actions.link(acme, provider=answers["provider"], name="linked", settings=asked, secrets={}, by=alice)
    region = world.regions[0]
    store = factories.store(account, region=region)
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="orders", state="available")
    cluster.nodes.create(name="n1", region=region)
    repository = Repository.objects.create(cluster=cluster, store=store, number=1)
    Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
    account.settings = {name: value for name, value in account.settings.items() if name != FOUND}
    account.save()
    put(world, answers, "somebody-else-s")
    world.forget()
    return world, account, store, cluster


def node_s_file(cluster):
    """Return the pgbackrest.conf of the cluster's node, with a database whose backups could be looked for."""
    cluster.databases.create(name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    [setup] = node_setups(Cluster.objects.with_node_setup().get(pk=cluster.pk))
    return setup.configuration.render(secrets=True)


def rows(account, store, cluster):
    """Return a row of each kind of snapshot that is read of an account, but its verification."""
    Restoration.objects.create(organisation=account.organisation, found_by="a test")  # folders are looked for then
    logs = {"organisation": account.organisation, "store_id": store.pk, "store_name": "gone", "region": store.region}
    return [
        Preflight.objects.get_or_create(cloud_account=account)[0],
        DeletionPreview.objects.get_or_create(store=store)[0],
        DriftReport.objects.get_or_create(store=store)[0],
        UnmanagedScan.objects.get_or_create(cloud_account=account)[0],
        Inventory.objects.get_or_create(repository=cluster.repositories.get())[0],
        RetainedLogs.objects.create(cloud_account=account, bucket="pgbk-logs", expires_at=timezone.now(), **logs),
        RecoveryIdentity.objects.create(
            organisation=account.organisation, cloud_account=account, bucket=store.bucket, until=timezone.now()
        ),
        FolderScan.objects.get_or_create(store=store)[0],
        BucketLook.objects.create(cloud_account=account, bucket="archive", name="archive"),
        Bringing.objects.create(
            organisation=account.organisation,
            cloud_account=account,
            entered={"name": "old", "store": str(store.pk), "path": "/old", "stanzas": ["main"]},
        ),
        NodeFile.objects.create(
            organisation=account.organisation, cloud_account=account, node="n1", entered={"text": node_s_file(cluster)}
        ),
    ]


@pytest.mark.parametrize("given", UNGUARDED, indirect=True, ids="-".join)
def test_no_operation_begins_on_an_unproven_link(as_alice, linked):
    world, account, store, cluster = linked
    begun = 0
    for (kind, verb), work in registry._works.items():
        subject = {"store": store, "cluster": cluster}[kind]
        if work.model is type(subject):
            with pytest.raises(NotNow, match=account.settings["external_id"]):
                begin(subject, verb, by=None)
            begun += 1
    assert begun == len(registry._works) >= 6
    posts = [
        (
            "/stores/create/",
            {"provider": account.provider_key, "name": "new", "cloud_account": account.pk, "region": store.region},
        ),
        ("/clusters/create/", {"name": "new", "cloud_account": account.pk, "regions": store.region}),
        (f"/stores/{store.pk}/delete/", {"name": store.name}),
    ]
    store.attachments.all().delete()
    posts.append((f"/clusters/{cluster.pk}/delete/", {"name": cluster.name, "kit": "on"}))
    for url, values in posts:
        answer = as_alice.post(url, values, headers=HTMX)
        assert answer.status_code == 422, url
        assert account.settings["external_id"] in str(answer.context["form"].errors), url
    store.refresh_from_db()
    assert store.state == "available"
    assert world.calls() == []


@pytest.mark.parametrize("given", UNGUARDED, indirect=True, ids="-".join)
def test_nothing_is_read_of_an_unproven_link(as_alice, linked):
    world, account, store, cluster = linked
    found = rows(account, store, cluster)
    assert {type(row).LABEL for row in found} | {Verification.LABEL, Attempt.LABEL} == {*snapshots._sources}
    for row in found:
        type(row).objects.filter(pk=row.pk).wanted()
        snapshots.read(type(row).LABEL, row.pk)
        row.refresh_from_db()
        assert row.tried_at, row.LABEL
        assert account.settings["external_id"] in row.error, row.LABEL
    assert world.calls() == []
    for url in (account.get_absolute_url(), "/cloud-accounts/", store.get_absolute_url()):
        page = as_alice.get(url).content.decode()
        assert "is not in use" in page
        assert account.settings["external_id"] in page
    assert "Not proven" in as_alice.get("/cloud-accounts/").content.decode()


@pytest.mark.parametrize("given", UNGUARDED, indirect=True, ids="-".join)
def test_a_link_is_used_once_it_has_proved_itself_and_no_more_when_the_proof_is_gone(as_alice, linked):
    world, account, _store, cluster = linked
    external_id = account.settings["external_id"]
    untouched = world.look()
    assert actions.verify(account) is False
    assert account.unproven
    world.prove(account.credentials())
    submit(as_alice, f"{account.get_absolute_url()}verify/", headers=HTMX)
    account.refresh_from_db()
    assert not account.unproven
    assert account.verify_error == ""
    assert any("external ID of this link" in proof for proof in account.proofs)
    preflight = Preflight.objects.get_or_create(cloud_account=account)[0]
    Preflight.objects.filter(pk=preflight.pk).wanted()
    snapshots.read(Preflight.LABEL, preflight.pk)
    preflight.refresh_from_db()
    assert (preflight.error, len(preflight.content) > 5) == ("", True)
    # The administrator lets another organisation in instead: the next verification finds out.
    put(world, account.settings, "other-8c1f")
    verification = Verification.objects.get_or_create(cloud_account=account)[0]
    Verification.objects.filter(pk=verification.pk).wanted()
    snapshots.read(Verification.LABEL, verification.pk)
    account.refresh_from_db()
    assert external_id in account.unproven
    assert account.settings["external_id"] == external_id
    with pytest.raises(NotNow):
        begin(Cluster.objects.get(pk=cluster.pk), "update", by=None)
    assert world.look() == untouched


@pytest.mark.slow
@pytest.mark.parametrize("given", UNGUARDED, indirect=True, ids="-".join)
def test_a_link_without_a_proof_can_be_unlinked(as_alice, linked):
    _, account, store, cluster = linked
    Attachment.objects.all().delete()
    cluster.delete()
    store.delete()
    assert (
        as_alice.post(f"{account.get_absolute_url()}unlink/", {"name": account.name}, headers=HTMX).status_code == 204
    )
    assert not CloudAccount.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("given", UNGUARDED, indirect=True, ids="-".join)
def test_a_proven_link_cannot_be_changed_to_another_s_account(as_alice, linked):
    """What it is changed to has to prove itself with this link's ID, whatever is proven already."""
    _, account, _, _ = linked
    account.settings = {**account.settings, FOUND: account.settings["external_id"]}
    account.save()
    before = account.settings
    asked = {one.name for one in account.cloud.linking.fields}
    given = {name: value for name, value in before.items() if name in asked}
    other = {
        "node_access": next(
            key
            for key in ("key", "attached", "identity", "sas")
            if key != before["node_access"] and key in str(account.cloud.linking.fields)
        )
    }
    answer = submit(
        as_alice, f"{account.get_absolute_url()}change/", {**given, "name": "linked", **other}, headers=HTMX
    )
    assert answer.status_code == 422
    assert "external ID" in str(answer.context["form"].errors)
    account.refresh_from_db()
    assert account.settings == before


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.thorough  # a migration that a release has frozen, and fifteen seconds of a core to go there and back
def test_links_that_exist_get_an_external_id_and_have_to_prove_themselves():
    executor = MigrationExecutor(connection)
    try:
        acme = factories.organisation("Acme")
        earlier = {"external_id": "", FOUND: ""}
        links = [
            factories.google(acme, **earlier),
            factories.azure(acme, method="federation"),
            factories.google(acme, "second", **earlier),
        ]
        others = [
            factories.azure(acme, "by-secret"),
            factories.google(acme, "by-key", method="key", **earlier),
            factories.account(acme),
            factories.server(acme),
        ]
        kept = [one.settings for one in others]
        executor.migrate([("cloud_accounts", "0001_initial")])
        executor.loader.build_graph()
        executor.migrate(executor.loader.graph.leaf_nodes())
        for one in (*links, *others):
            one.refresh_from_db()
        given = {one.settings["external_id"] for one in links}
        assert len(given) == 3
        assert all(one.settings["external_id"] in one.unproven for one in links)
        assert [one.settings for one in others] == kept
        assert not any(one.unproven for one in others)
    finally:
        executor.loader.build_graph()
        executor.migrate(executor.loader.graph.leaf_nodes())
