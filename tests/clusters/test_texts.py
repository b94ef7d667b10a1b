"""What a form accepts, every page and file can show: each text that people enter, with each kind of character in it."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from contextlib import suppress
from dataclasses import dataclass

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, ProhibitNullCharactersValidator
from django.db import models, transaction

from clusters.forms import KeyForm, PolicyForm
from clusters.models import BackupPolicy, Cluster, Database
from clusters.pgbackrest.grammar import is_a_line
from clusters.pgbackrest.schedules import KINDS
from console.accounts.models import Organisation
from console.cloud_accounts.forms import LinkForm
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.operations.snapshots import Snapshot
from console.web.validators import readable
from stores.models import Store
from tests import factories
from tests.characters import characters
from tests.clusters.addresses import addresses
from tests.responses import HTMX
from tests.sampling import THOROUGH

POLICY = {"retention_full": "14", "retention_type": "time", "full_schedule": "0 1 * * 0", "incr_schedule": "0 2 * * 1"}
DATABASE = {"name": "other", "version": "15", "data_directory": "/data", "port": "5433"}


@dataclass(frozen=True)
class Text:
    """A text that people enter: where, and in what row it is kept."""

    path: str
    data: dict
    field: str
    model: type[models.Model]
    patterns: tuple[str, ...] = ("a@b", "a@", "@a")  # with @ for the character
    together: str = ""  # with @ for all characters that are accepted; nothing: one by one


TEXTS = {
    "cluster": Text("/clusters/create/", {"regions": "eu-west-1"}, "name", Cluster, together="a@b"),
    "store": Text("/stores/create/", {"provider": "aws", "region": "eu-west-1"}, "name", Store, together="a@b"),
    "stanza": Text("{cluster}databases/add/", DATABASE, "name", Database, together="a@b"),
    "data directory": Text(
        "{cluster}databases/add/", DATABASE, "data_directory", Database, ("/a@b", "/a@", "/@a", "/a/@", "@/a"), "/a@b"
    ),
    "full schedule": Text(
        "{cluster}policy/", POLICY, "full_schedule", BackupPolicy, ("0 3 * * 1@", "@0 3 * * 1", "0 3 * @ 1")
    ),
}


@pytest.fixture
def shown(given, as_alice):
    """A function that asks for every page and file, and says which of them fail.

    `make test` asks for every file, each of which quotes in its own way, and for a third of the pages, all of which are
    written by the same template engine: with other characters, which come at another turn, for another third.
    """

    def shown(turn):
        failed, as_alice.raise_request_exception = [], False
        for at, (_, address) in enumerate(addresses(given)):
            if address.endswith("/") and (at + turn) % 3 and not THOROUGH:
                continue
            answer = as_alice.get(address)
            if answer.status_code == 500:
                failed.append(address)
            if address.endswith(".sh") and not answer.streaming and answer.status_code == 200:
                script = answer.content.decode()
                assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0, address
        return failed

    return shown


def kind(character):
    """Return what `make test` enters one of: a category of Unicode, the ASCII of it apart."""
    return unicodedata.category(character), character.isascii()


def takes(column, value):
    """Return whether the column takes it, as the form does: that they agree is looked at for each that is entered."""
    with suppress(ValidationError):
        column.clean(value, None)
        return True
    return False


def put_into_a_row(text, value, cluster, store):
    """Keep the value where every page of the test's world shows it."""
    row = {Cluster: cluster, Store: store, Database: cluster.databases.get()}.get(text.model)
    if row is None:
        row, _ = BackupPolicy.objects.get_or_create(cluster=cluster, node=None)
    text.model.objects.filter(pk=row.pk).update(**{text.field: value})


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_a_form_accepts_every_page_and_file_shows(text, given, as_alice, account, stores, shown, say, sample):
    cluster = Cluster.objects.get()
    path = text.path.format(cluster=cluster.get_absolute_url())
    kept = {}
    column = text.model._meta.get_field(text.field)
    known = {*text.model.objects.values_list("pk", flat=True)}
    values = {text.patterns[0].replace("@", one): one for one in characters()}
    unseen = [one for one in characters() if one.isspace() or not one.isprintable() or one in "/.-"]
    values |= {pattern.replace("@", one): one for pattern in text.patterns[1:] for one in unseen}
    for value in dict(sample("texts: characters in forms", values.items(), by=lambda cell: kind(cell[1]))):
        with transaction.atomic():
            data = {"cloud_account": str(account.pk), **text.data, text.field: value}
            answer = as_alice.post(path, data, headers=HTMX)
            if answer.status_code == 422:
                assert list(answer.context["form"].errors) == [text.field], value
                assert f'id="id_{text.field}_error"' in answer.content.decode(), value
                with pytest.raises(ValidationError):
                    column.clean(value, None)
            else:
                assert answer.status_code in {200, 204}, value
                kept[value] = next(getattr(row, text.field) for row in text.model.objects.all() if row.pk not in known)
                column.clean(kept[value], None)
            transaction.set_rollback(True)
    shows = {*kept.values()}
    if text.together:
        inside = [one for one in characters() if takes(column, text.together.replace("@", one))]
        room = (column.max_length or 0) - len(text.together)
        pieces = ["".join(inside[at : at + room]) for at in range(0, len(inside), room)]
        shows = {text.together.replace("@", piece) for piece in pieces}
    for turn, value in enumerate(shows, [*TEXTS.values()].index(text)):
        put_into_a_row(text, value, cluster, stores[0])
        assert shown(turn) == [], repr(value)
    assert kept
    assert len(kept) < len(values)
    say(texts_entered=len(values), texts_accepted=len(kept))


def test_all_schedules_are_read_alike():
    """So one of them stands for all above."""
    for every in (PolicyForm.base_fields, {one.name: one for one in BackupPolicy._meta.fields}):
        first, *others = [every[f"{kind}_schedule"] for kind in KINDS]
        for one in others:
            assert (type(one), one.validators) == (type(first), first.validators)
    assert not any(hasattr(PolicyForm, f"clean_{kind}_schedule") for kind in KINDS)


@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        ("/var/lib/postgresql/15/main/", "/var/lib/postgresql/15/main"),
        (" /data/my db ", "/data/my db"),
        ("/", ""),
        ("//", ""),
        ("/var/lib//postgresql/15/main", ""),
        ("/var/lib/../postgresql", ""),
        ("/var/lib/./postgresql", ""),
        ("var/lib/postgresql", ""),
        ("/var/lib/postgresql/15/ma\xadin", ""),
        ("/var/lib/postgresql/15/\u200bmain", ""),
        ("/data/my\xa0db", ""),
        ("/x\u2028y", ""),
        ("/x\ny", ""),
    ],
)
def test_a_data_directory_is_one_path_that_looks_as_it_is(given, as_alice, entered, kept):
    cluster = Cluster.objects.get()
    path = f"{cluster.get_absolute_url()}databases/add/"
    answer = as_alice.post(path, {**DATABASE, "data_directory": entered}, headers=HTMX)
    assert answer.status_code == (204 if kept else 422)
    assert ('id="id_data_directory_error"' in answer.content.decode()) == (not kept)
    assert [one.data_directory for one in cluster.databases.filter(name="other")] == ([kept] if kept else [])
    assert as_alice.get(f"{cluster.get_absolute_url()}nodes/n1/").status_code == 200


@pytest.mark.slow
def test_other_names_are_shown_everywhere_too(given, shown):
    fits = []
    for one in characters():
        with suppress(ValidationError):
            readable(one)
            fits.append(one)
    for at in range(0, len(fits), 60):
        for model in (CloudAccount, Organisation):
            model.objects.update(name="".join(fits[at : at + 60]))
        assert shown(at // 60) == []


# What linking asks for goes into policies, templates, modules, scripts, and the nodes' options.

ANSWERS = {
    "aws": {"role_arn": "arn:aws:iam::012345678910:role/storekeeper@", "access_key_id": "AKIAIOSFODNN7EXAMPLE@"},
    "azure": {
        "tenant_id": "72f988bf-86f1-41af-91ab-2d7cd011db4@",
        "client_id": "11112222-bbbb-3333-cccc-4444dddd555@",
        "subscription_id": "0b1f6471-1bf0-4dda-aec3-11112222333@",
        "resource_group": "back@ups",
    },
    "google": {
        "project_id": "my@project",
        "workload_provider": "projects/1@2/locations/global/workloadIdentityPools/pool/providers/ours",
        "service_account": "store@keeper@my-project.iam.gserviceaccount.com",
    },
    "s3": {"endpoint": "https://s3.ex@ample.com", "region": "us-ea@st-1", "access_key_id": "KE@Y"},
}
NOT_IN_FILES = {"client_secret", "secret_access_key", "key", "ca_certificate", "location"}


def linked(provider, **answers):
    """The form as somebody would send it, with what is good everywhere else."""
    good = {name: pattern.replace("@", "7", 1) for name, pattern in ANSWERS[provider].items()}
    secrets = {"secret_access_key": "SECRET", "client_secret": "SECRET", "location": "dublin"}
    method = {"aws": "access_key" if "access_key_id" in answers else "role", "google": "federation"}.get(provider, "")
    data = {"provider": provider, "name": "linked", "method": method, **secrets, **good, **answers}
    return LinkForm(data, organisation=Organisation(), chosen=provider, external_id="an-external-id")


def ill_formed(document):
    """Say what cannot be read of a file that an administrator is handed."""
    text, kind = document.text, document.filename.rpartition(".")[2]
    text.encode()
    if kind == "json":
        json.loads(text)
    elif kind == "sh" and subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode:
        return "sh does not read it"
    elif kind == "tf":
        for quoted in re.findall(r'"(?:[^"\\\n]|\\.)*"', text):
            json.loads(quoted)
        if re.search(r"\\ud[89a-f]", text, re.IGNORECASE):
            return "HCL knows no surrogates"
    return ""


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("provider", CLOUDS)
def test_what_linking_accepts_every_document_can_hold(provider, say):
    cloud = CLOUDS[provider]
    texts = {one.name for one in cloud.linking.fields if one.kind in {"text", "area"}} - NOT_IN_FILES
    assert texts == {*ANSWERS[provider]}, "a new question needs an answer above"
    entered = accepted = 0
    for field, pattern in ANSWERS[provider].items():
        assert linked(provider, **{field: pattern.replace("@", "7", 1)}).errors == {}, field
        for character in characters():
            form = linked(provider, **{field: pattern.replace("@", character, 1)})
            entered += 1
            if not form.is_valid():
                assert field in form.errors, (character, form.errors)
                continue
            accepted += 1
            account = CloudAccount(provider_key=provider, settings=form.account_settings(), number="012345678910")
            assert [ill_formed(one) for one in account.documents if ill_formed(one)] == [], repr(character)
            for value in form.account_settings().values():
                assert is_a_line(value), (field, value)
    say(texts_entered=entered, texts_accepted=accepted)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key"])
def test_a_key_is_what_a_header_can_hold(field):
    for character in characters():
        value = f"KE{character}Y"
        both = {"access_key_id": "KEY", "secret_access_key": "SECRET", field: value}
        fits = character.isascii() and character.isprintable() and character != " "
        assert KeyForm(both).is_valid() == fits, repr(character)
        assert linked("s3", **both).is_valid() == fits, repr(character)


# The model refuses the same

OURS = {  # written by the console itself, from a list, or never shown in somebody else's file
    "accounts.Invitation": {"token_sha256"},
    "accounts.Installation": {"secret_key_hmac", "public_url", "version"},
    "accounts.Membership": {"external_id"},
    "accounts.User": {"password", "first_name", "last_name", "language"},
    "cloud_accounts.CloudAccount": {"provider_key", "number", "partition", "verify_error"},
    "stores.BucketLook": {"bucket", "log_bucket", "region"},
    "stores.Store": {"region", "bucket", "log_bucket", "logs_into", "namespace"},
    "stores.IgnoredBucket": {"bucket", "by_name"},
    "stores.RetainedLogs": {"store_name", "region", "bucket"},
    "clusters.Node": {"name", "region", "folder", "applied_sha256", "applied_version", "machine"},
    "clusters.RemovedNode": {"name", "folder", "region", "applied_sha256"},
    "clusters.Stanza": {"system_id"},
    "clusters.Database": {"folder"},
    "clusters.Repository": {"bucket", "cluster_name", "prefix", "region", "store_name"},
    "clusters.RecoveryIdentity": {"bucket", "cluster_name", "prefix"},
    "clusters.Drill": {"applied_digest"},
    "clusters.DrillRun": {
        "amcheck",
        "cluster_name",
        "database",
        "label",
        "lsn",
        "machine",
        "machine_id",
        "node",
        "run_id",
        "store",
        "target",
        "words",
    },
    "clusters.Enrolment": {"token_sha256"},
    "clusters.EnrolmentPlace": {"machine"},
    "clusters.Health": {"node", "database"},
    "clusters.KnownStanza": {"node", "name", "postgresql", "data_directory", "region", "system_id"},
}


def test_every_text_has_a_grammar_or_is_our_own():
    plain = (MaxLengthValidator, ProhibitNullCharactersValidator)
    found = {}
    for label in ("accounts", "cloud_accounts", "stores", "clusters"):
        for model in apps.get_app_config(label).get_models():
            for column in model._meta.fields:
                if issubclass(model, Snapshot) and column.name in {"error", "progress"}:
                    continue
                text = isinstance(column, models.CharField | models.TextField) and column.choices is None
                if text and all(isinstance(one, plain) for one in column.validators) and column.name != "state":
                    found.setdefault(model._meta.label, set()).add(column.name)
    assert found == OURS


def test_the_admin_refuses_a_name_that_cannot_be_read(client, db):
    client.force_login(factories.user("operator", is_staff=True, is_superuser=True))
    data = {
        "edition": "enterprise", "stores_at_most": "1", "invitations_at_most": "1", "operations_at_once": "1",
        "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0",
    }  # fmt: skip
    for name in ("a\u2028b", "a\u200bb", "a\u202eb", "a\nb"):
        answer = client.post("/admin/accounts/organisation/add/", {**data, "name": name})
        assert (answer.status_code, next(iter(answer.context["errors"][0]))[:8]) == (200, "The name"), repr(name)
    assert not Organisation.objects.exists()
    assert client.post("/admin/accounts/organisation/add/", {**data, "name": "Zoë's 備份 👩‍💻"}).status_code == 302
