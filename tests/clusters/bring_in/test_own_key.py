"""A node that is handed over goes on with the key that it has: what is asked, and what the console makes then."""

from __future__ import annotations

import pytest
from django.utils import timezone

from clusters import plans
from clusters.bring_in import hand_over as handing
from clusters.models import BroughtIn, Cluster, KnownStanza
from clusters.node_setup import node_setups
from clusters.pgbackrest import own_key
from clusters.pgbackrest.grammar import Unfit
from clusters.recovery import restores
from console.audit.models import AuditEvent
from console.clouds.contract import BroughtKey, KeyPart, RepositoryOptions
from console.clouds.key_trial import KeyTrial
from tests.clusters.bring_in.conftest import PASSPHRASE, beside, plain

LINES = "repo1-s3-key=AKIAFORMERKEY\nrepo1-s3-key-secret=former-secret-hunter2\n"
SCHEDULE = {"full_schedule": "0 1 * * 0", "incr_schedule": ""}


@pytest.fixture
def brought(bring, text, bucket):
    row, _ = bring(text=text, stanzas="main")
    return row.cluster


def _fresh(cluster):
    return Cluster.objects.with_node_setup().get(pk=cluster.pk)


def _post(as_alice, cluster, **given):
    return as_alice.post(f"{cluster.get_absolute_url()}hand-over/", {**SCHEDULE, "access": "own", **given})


@pytest.mark.parametrize("whole", [False, True], ids=["lines", "file"])
def test_the_node_s_file_has_the_former_key_and_the_cloud_makes_none(brought, as_alice, text, amazon, whole):
    answer = _post(as_alice, brought, own=text if whole else LINES)
    assert answer.status_code == 422
    assert "cannot try the key of repo1 itself. Nothing was changed." in beside(answer, "own")
    assert "hunter2" not in answer.content.decode()
    assert _fresh(brought).is_watched_only
    assert _post(as_alice, brought, own=text if whole else LINES, anyway="on").status_code == 302
    cluster = _fresh(brought)
    setup = node_setups(cluster)[0]
    lines = setup.configuration.render(secrets=True).splitlines()
    for one in ("repo1-s3-key=AKIAFORMERKEY", "repo1-s3-key-secret=former-secret-hunter2", "repo1-path=/backups/prod"):
        assert lines.count(one) == 1
    assert f"repo1-cipher-pass={PASSPHRASE}" in lines
    assert "repo1-s3-key-type=auto" not in lines
    assert "hunter2" not in setup.masked
    assert "AKIAFORMERKEY" not in setup.masked
    assert setup.has_keys
    assert list(setup.machine_steps) == []
    assert (cluster.spec().buckets, cluster.spec_as_read().buckets, cluster.facts) == ((), (), [])
    assert plans.access(cluster) == ()
    assert plans.dismissal(cluster) == ()
    assert AuditEvent.objects.filter(action="Kept the key that a node has").count() == 1
    for page in (cluster.get_absolute_url(), f"{cluster.get_absolute_url()}nodes/n1/"):
        shown = as_alice.get(page).content.decode()
        assert "hunter2" not in shown
        assert "AKIAFORMERKEY" not in shown
    assert "go on with the key that they had" in plain(as_alice.get(cluster.get_absolute_url()))


def test_a_restore_on_the_node_reads_with_it(brought, alice):
    own = handing.own_keys(brought, LINES)
    handing.hand_over(brought, schedules=SCHEDULE, own=own, by=alice)
    KnownStanza.objects.update(seen_at=timezone.now())
    [source] = restores.of_cluster(_fresh(brought))
    assert not source.needs_key
    assert dict(source.options.options)["s3-key"] == "AKIAFORMERKEY"


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("", "Give the former file once more"),
        ("  \n", "Give the former file once more"),
        ("repo1-s3-key=A\n", "repo1-s3-key-secret is not in it."),
        ("repo2-s3-key=A\nrepo2-s3-key-secret=b\n", "repo1-s3-key is not in it."),
        ("nonsense\n", "there is no = in it"),
        ("repo1-s3-key=A\nrepo1-s3-key-secret=b\x07\n", "cannot be seen"),
    ],
    ids=["nothing", "spaces", "half", "another", "nonsense", "unprintable"],
)
def test_what_is_no_key_changes_nothing(brought, as_alice, own, said):
    answer = _post(as_alice, brought, own=own, anyway="on")
    assert answer.status_code == 422
    assert said in beside(answer, "own")
    assert BroughtIn.objects.get().handed_over_at is None
    assert BroughtIn.objects.get().own_keys == {}


def test_a_key_that_does_not_open_it_is_refused_whatever_is_ticked(brought, as_alice, monkeypatch):
    tried = []

    def refuse(spec, key, logs):
        tried.append((spec.prefix, spec.buckets, spec.kept, dict(key)))
        return KeyTrial(refused=("Writing a file was refused.",))

    access = type(brought.cloud.access)
    monkeypatch.setattr(access, "try_key", property(lambda self: refuse), raising=False)
    answer = _post(as_alice, brought, own=LINES, anyway="on")
    assert answer.status_code == 422
    assert "Writing a file was refused. Nothing was changed." in beside(answer, "own")
    [(prefix, buckets, kept, key)] = tried
    assert (prefix, len(buckets), kept) == ("backups/prod", 1, {})
    assert key == {"access_key_id": "AKIAFORMERKEY", "secret_access_key": "former-secret-hunter2"}
    assert _fresh(brought).is_watched_only


def test_a_machine_s_own_role_is_gone_on_with(brought, alice):
    own = handing.own_keys(brought, "repo1-s3-key-type=auto\n")
    assert own == {1: {"s3-key-type": "auto"}}


SAS = BroughtKey(
    (("type", "azure"), ("azure-account", "b"), ("azure-key-type", "sas")),
    (KeyPart("azure-key", "SAS"),),
    "azure-key-type",
)
AZURE = RepositoryOptions((("type", "azure"), ("azure-key-type", "auto")), above="backups", brought_key=SAS)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [("repo1-azure-key=abc\n", None), ("repo1-azure-key=sig\nrepo1-azure-key-type=sas\n", "sas")],
    ids=["shared", "sas"],
)
def test_azure_s_key_keeps_its_type(lines, kind):
    own = own_key.of_repository(own_key.read(lines), 1, "main", AZURE)
    found = own_key.signed_in(AZURE, own)
    assert dict(found.options).get("azure-key-type") == kind
    assert (found.secret, found.above) == (frozenset({"azure-key"}), "backups")
    with pytest.raises(Unfit):
        own_key.of_repository(own_key.read("repo1-azure-key-type=sas\n"), 1, "main", AZURE)
