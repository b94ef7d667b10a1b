"""`manage.py bootstrap`: an empty console gets its organisation, its owner and its operator, once."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from console.accounts.models import Invitation, Membership, Organisation, User
from console.audit.models import AuditEvent

GIVEN = {"organisation": "Acme", "owner": "olga@example.org", "url": "https://console.example.org"}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bare(monkeypatch, settings):
    for name in ("BOOTSTRAP_ORGANISATION", "BOOTSTRAP_EDITION", "BOOTSTRAP_OWNER", "BOOTSTRAP_OPERATOR", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
    settings.EMAIL_HOST = ""
    return monkeypatch


def bootstrap(**given):
    said = StringIO()
    call_command("bootstrap", **{**GIVEN, **given}, stdout=said)
    return said.getvalue()


def links(said):
    return re.findall(r"^https://console\.example\.org(/invitations/[\w-]{43}/)$", said, re.MULTILINE)


def rows():
    return [list(model.objects.order_by("pk").values()) for model in (Organisation, Invitation, Membership, User)]


def join(client, path, username):
    password = "correct horse battery staple 9"
    return client.post(path, {"username": username, "password": password, "password1": password})


def test_bootstrap_makes_an_organisation_whose_owner_joins_by_the_link(client):
    said = bootstrap()
    assert "Acme was made: edition Enterprise." in said
    [link] = links(said)
    assert join(client, link, "olga").status_code == 302
    membership = Membership.objects.get()
    assert (membership.role, membership.organisation.name, membership.user.is_superuser) == ("owner", "Acme", False)
    assert set(AuditEvent.objects.values_list("action", "actor")) >= {("Made organisation", None), ("Invited", None)}
    assert client.get(link).status_code == 404
    assert "olga (olga@example.org) is owner already." in bootstrap()


@pytest.mark.parametrize("operator", ["Olga@Example.org", "ops@example.org"])
def test_bootstrap_makes_an_operator_who_may_do_everything(client, settings, operator):
    settings.SUPPORT_SECOND_FACTOR = False
    found = links(bootstrap(operator=operator))
    assert len(found) == (1 if "lga" in operator else 2)
    assert "operator" in client.get(found[-1]).content.decode()
    join(client, found[-1], "somebody")
    user = User.objects.get(username="somebody")
    assert (user.is_staff, user.is_superuser) == (True, True)
    assert user.memberships.get().role == ("owner" if "lga" in operator else "viewer")
    assert client.get("/admin/accounts/user/add/").status_code == 200
    assert AuditEvent.objects.filter(action="Became operator", actor=user).exists()
    assert links(bootstrap(operator=operator, new_link=True)) == [] or len(found) == 2


def test_nobody_becomes_an_operator_by_an_invitation_of_an_owner(client, acme, alice):
    client.force_login(alice)
    asked = {"email": "n@example.com", "role": "viewer", "operator": "1"}
    page = client.post("/organisation/invite/", asked).content.decode()
    client.logout()
    join(client, re.search(r"/invitations/[\w-]{43}/", page)[0], "nina")
    assert not User.objects.get(username="nina").is_superuser


def test_bootstrap_a_second_time_changes_nothing():
    bootstrap(operator="ops@example.org")
    before = rows()
    said = bootstrap(operator="ops@example.org", edition="developer")
    assert rows() == before
    assert links(said) == []
    for part in ("Acme is there: edition Enterprise", "left as it is", "olga@example.org is invited as owner, until"):
        assert part in said
    assert "Another link: --new-link" in said


def test_bootstrap_makes_another_link_when_asked(client):
    [first] = links(bootstrap())
    [second] = links(bootstrap(new_link=True))
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200


def test_bootstrap_takes_everything_from_the_environment(bare, tmp_path):
    (tmp_path / "owner").write_text("olga@example.org\n")
    bare.setenv("BOOTSTRAP_ORGANISATION", "Acme")
    bare.setenv("BOOTSTRAP_EDITION", "developer")
    bare.setenv("BOOTSTRAP_OWNER_FILE", str(tmp_path / "owner"))
    bare.setenv("BOOTSTRAP_OPERATOR", "olga@example.org")
    bare.setenv("PUBLIC_URL", "https://console.example.org/")
    said = bootstrap(organisation=None, owner=None, url=None)
    assert len(links(said)) == 1
    assert Organisation.objects.get().edition == "developer"
    assert Invitation.objects.get().operator


def test_bootstrap_takes_the_address_of_the_first_allowed_host(settings):
    settings.ALLOWED_HOSTS, settings.INSECURE_HTTP = ["*", ".example.org", "console.example.org"], False
    assert links(bootstrap(url=None))


@pytest.mark.parametrize(("answer", "words"), [(None, "It was sent, too."), (OSError("no"), "could not be sent")])
def test_bootstrap_sends_the_link_where_mail_can_be_sent(settings, monkeypatch, answer, words):
    settings.EMAIL_HOST = "mail.example.org"
    if answer:
        monkeypatch.setattr("console.accounts.members.send_mail", lambda *_: (_ for _ in ()).throw(answer))
    said = bootstrap(operator="olga@example.org")
    assert words in said
    [link] = links(said)
    if not answer:
        assert mail.outbox[0].to == ["olga@example.org"]
        assert link in mail.outbox[0].body
        assert "as owner and as its operator" in mail.outbox[0].body


REFUSED = [
    ({"organisation": None}, "Name the organisation"),
    ({"organisation": " "}, "Name the organisation"),
    ({"organisation": "x" * 101}, "name is none"),
    ({"organisation": "a\u202eb"}, "name is none"),
    ({"edition": "platinum"}, "'platinum': it is one of developer, enterprise"),
    ({"owner": None}, "Name the owner"),
    ({"owner": "olga"}, "address of the owner, 'olga', is no e-mail address"),
    ({"owner": "olga@exampl\u212a.org"}, "could be taken for another one"),
    ({"operator": "ops@"}, "address of the operator, 'ops@', is no"),
    ({"url": None}, "Say where people reach the console"),
    ({"url": "console.example.org"}, "Say where people reach the console"),
    ({"url": "ftp://console.example.org"}, "Say where people reach the console"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_bootstrap_refuses_nonsense_and_changes_nothing(given, words):
    with pytest.raises(CommandError, match=re.escape(words)) as raised:
        bootstrap(**given)
    assert raised.value.returncode == 2
    assert rows() == [[], [], [], []]


def test_bootstrap_refuses_garbage_in_the_environment(bare):
    bare.setenv("PUBLIC_URL", "nowhere")
    with pytest.raises(CommandError, match=r"^PUBLIC_URL is 'nowhere'") as raised:
        bootstrap(url=None)
    assert raised.value.returncode == 2


def test_bootstrap_refuses_a_console_that_is_another_s(acme, alice):
    User.objects.filter(pk=alice.pk).update(email="alice@example.com")
    User.objects.create(username="root", is_superuser=True)
    before = rows()
    for given, words in (
        ({"organisation": "Other"}, "There is an organisation already: Acme"),
        ({"owner": "olga@example.org"}, "Acme has an owner: alice"),
        ({"owner": "alice@example.com", "operator": "ops@example.org"}, "There is an operator: root"),
    ):
        with pytest.raises(CommandError, match=words) as raised:
            bootstrap(**given)
        assert raised.value.returncode == 2
    assert rows() == before


def test_bootstrap_wants_a_database_that_is_up_to_date(monkeypatch):
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda *_: [("a", False)])
    with pytest.raises(CommandError, match=r"run manage\.py migrate first"):
        bootstrap()
