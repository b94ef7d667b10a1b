"""Members: invited, joined, given another role, removed; the last owner stays, whoever asks at the same time."""

from __future__ import annotations

import logging
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import close_old_connections, connection
from django.utils import timezone

from console.accounts import members
from console.accounts.addresses import normalised
from console.accounts.models import Invitation, Membership, User
from console.accounts.permissions import ROLE_WORDS, ROLES
from console.audit.models import AuditEvent
from console.web.logs import WithOrigin
from tests import factories
from tests.demo_process import ROOT


@pytest.fixture
def invited(acme, alice):
    """An invitation, and the address of its link."""
    invitation, token = members.invite(acme, email="nina@example.com", role="admin", by=alice)
    return invitation, f"/invitations/{token}/"


def role_of(user, organisation):
    return Membership.objects.filter(user=user, organisation=organisation).values_list("role", flat=True).first()


def noted(action):
    return AuditEvent.objects.filter(action=action)


def test_members_and_invitations_are_shown(client, alice, bob, invited):
    client.force_login(bob)
    page = client.get("/organisation/").content.decode()
    assert "alice" in page
    assert "nina@example.com" in page
    assert "Invite Member" not in page
    client.force_login(alice)
    page = client.get("/organisation/").content.decode()
    assert "Invite Member" in page
    assert invited[1] not in page


def test_invite_shows_the_link_once_and_keeps_its_digest(client, alice):
    client.force_login(alice)
    page = client.post("/organisation/invite/", {"email": "nina@example.com", "role": "viewer"}).content.decode()
    token = re.search(r"/invitations/([\w-]{43})/", page)[1]
    assert "sends no e-mail" in page
    assert not mail.outbox
    assert token not in str(Invitation.objects.values())
    assert token not in str(AuditEvent.objects.values())
    assert token not in client.get("/organisation/").content.decode()
    assert noted("Invited").get().after == {"role": "viewer"}


def test_invite_sends_the_link_where_there_is_a_mail_server(client, alice, settings):
    settings.EMAIL_HOST = "mail.example.com"
    client.force_login(alice)
    page = client.post("/organisation/invite/", {"email": "nina@example.com", "role": "viewer"}).content.decode()
    assert "on its way" in page
    (message,) = mail.outbox
    assert message.to == ["nina@example.com"]
    assert re.search(r"http://testserver/invitations/[\w-]{43}/", message.body)


def test_invite_hands_out_the_link_when_the_mail_server_does_not_answer(client, alice, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    client.force_login(alice)
    page = client.post("/organisation/invite/", {"email": "nina@example.com", "role": "viewer"}).content.decode()
    assert "could not be sent" in page
    assert "/invitations/" in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"email": "", "role": "viewer"}, "Enter an e-mail address."),
        ({"email": "nina", "role": "viewer"}, "Enter a valid email address."),
        ({"email": "nina@example.com\nBcc: all@example.com", "role": "viewer"}, "Enter a valid email address."),
        ({"email": "nina@example.com", "role": "king"}, "Select a valid choice"),
        ({"email": "BOB@example.com", "role": "viewer"}, "is a member already"),
    ],
    ids=["no address", "half an address", "a header", "no role", "a member"],
)
def test_invite_refuses(client, alice, bob, given, message):
    User.objects.filter(pk=bob.pk).update(email="bob@example.com")
    client.force_login(alice)
    answer = client.post("/organisation/invite/", given)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert not Invitation.objects.exists()


# Every character that some function takes for an ASCII letter which it is not.
is_taken = re.compile("[A-Za-z]").search
LOOKALIKES = [
    letter
    for letter in map(chr, range(128, 0x11000))
    if is_taken(f"{letter.upper()}{letter.lower()}{letter.casefold()}{unicodedata.normalize('NFKC', letter)}")
]


def test_an_address_that_somebody_takes_for_another_is_refused_beside_its_field(as_alice, acme, alice):
    """Unless it is written as itself: each database has its own mind on which letters are the same."""
    members.invite(acme, email="boss@example.com", role="viewer", by=alice)
    factories.user("kim", acme, "viewer", email="kim@example.com")
    assert {"\u017f", "\u0131", "\u0130", "\u212a", "\xdf"} <= {*LOOKALIKES}
    for letter in LOOKALIKES:
        with pytest.raises(ValueError, match="taken for another"):
            normalised(f"bo{letter}s@example.com")
        with suppress(ValueError):  # a domain may have such a letter, if it remains that letter
            kept = normalised(f"nina@e{letter}ample.com")
            assert kept.isascii()
            assert kept.startswith("nina@xn--")
    for letter in ("\u017f", "\u0131", "\u0130", "\u212a", "\xdf", "\ufb00", "\uff53"):
        for address in (f"bo{letter}s@example.com", f"{letter}im@example.com"):
            answer = as_alice.post("/organisation/invite/", {"email": address, "role": "viewer"})
            assert answer.status_code == 422, address
            assert answer.context["form"].errors["email"]
            with pytest.raises(members.MembershipRefused) as refused:
                members.invite(acme, email=address, role="viewer", by=alice)
            assert refused.value.field == "email"
    assert [one.email for one in acme.invitations.all()] == ["boss@example.com"]


@pytest.mark.parametrize(("given", "kept"), [
    ("Nina@Example.COM", "Nina@example.com"),
    ("nina@b\xfccher.example", "nina@xn--bcher-kva.example"),
    ("nina@xn--bcher-kva.example", "nina@xn--bcher-kva.example"),
])  # fmt: skip
def test_an_address_is_kept_as_mail_servers_know_it(as_alice, acme, alice, given, kept):
    as_alice.post("/organisation/invite/", {"email": given, "role": "viewer"})
    assert acme.invitations.get().email == kept
    as_alice.post("/organisation/invite/", {"email": given.upper(), "role": "admin"})
    assert acme.invitations.get().role == "admin"


def test_the_operator_gives_nobody_such_an_address(alice):
    alice.email = "\u212aim@example.com"
    with pytest.raises(ValidationError) as refused:
        alice.full_clean()
    assert refused.value.message_dict.keys() >= {"email"}


def test_invite_again_replaces_the_first_invitation(client, acme, alice, invited):
    again, _ = members.invite(acme, email="NINA@example.com", role="viewer", by=alice)
    assert [*acme.invitations.all()] == [again]
    assert client.get(invited[1]).status_code == 404


def test_invitations_have_a_limit_that_expired_ones_do_not_count_for(acme, alice, invited):
    acme.invitations_at_most = 1
    acme.save()
    with pytest.raises(members.MembershipRefused, match="1 invitations are open"):
        members.invite(acme, email="olga@example.com", role="viewer", by=alice)
    acme.invitations.update(expires_at=timezone.now())
    members.invite(acme, email="olga@example.com", role="viewer", by=alice)


def test_who_is_invited_signs_up_and_joins(client, acme, invited):
    page = client.get(invited[1]).content.decode()
    assert "Join Acme" in page
    assert "nina@example.com" in page
    answer = client.post(invited[1], {"username": "nina", "password": "correct-horse-9"})
    assert answer.status_code == 302
    nina = User.objects.get(username="nina")
    assert (nina.email, role_of(nina, acme), nina.is_staff) == ("nina@example.com", "admin", False)
    assert "Acme" in client.get("/organisation/").content.decode()
    assert noted("Joined").get().after == {"role": "admin"}
    assert noted("Signed in").get().actor == nina
    assert "This one" in client.get("/account/sessions/").content.decode()
    client.logout()
    assert client.get(invited[1]).status_code == 404
    assert client.post(invited[1], {"username": "nono", "password": "correct-horse-9"}).status_code == 404


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"username": "nina", "password": "123"}, "too short"),
        ({"username": "nina", "password": "nina@example.com"}, "too similar"),
        ({"username": "alice", "password": "correct-horse-9"}, "user name already"),
        ({"username": "ni na", "password": "correct-horse-9"}, "Enter a valid username"),
        ({"username": "", "password": ""}, "Choose a password."),
    ],
    ids=["short", "alike", "taken", "blank", "nothing"],
)
def test_sign_up_refuses(client, alice, invited, given, message):
    answer = client.post(invited[1], given)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert User.objects.count() == 1
    assert client.get(invited[1]).status_code == 200


def test_the_token_of_an_invitation_is_in_no_log(client, invited, caplog):
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithOrigin())
    try:
        assert client.post(invited[1], {"username": "nina", "password": "123"}).status_code == 422
    finally:
        for handler in logging.getLogger().handlers:
            handler.filters[:] = [one for one in handler.filters if not isinstance(one, WithOrigin)]
    assert "/invitations/…" in caplog.text
    assert invited[1].split("/")[2] not in caplog.text


def test_who_has_signed_in_joins_and_has_the_organisation_open(client, acme, charlie, invited):
    client.force_login(charlie)
    assert "You are signed in as charlie" in client.get(invited[1]).content.decode()
    client.post(invited[1])
    assert role_of(charlie, acme) == "admin"
    assert User.objects.get(pk=charlie.pk).email == "nina@example.com"
    assert "Members of Acme" in client.get("/organisation/").content.decode()


def test_join_refuses_somebody_with_another_address(client, acme, charlie, invited):
    User.objects.filter(pk=charlie.pk).update(email="charlie@example.com")
    client.force_login(charlie)
    answer = client.post(invited[1])
    assert answer.status_code == 422
    assert "This invitation is for nina@example.com" in answer.content.decode()
    assert role_of(charlie, acme) is None
    assert Invitation.objects.exists()


def test_join_refuses_a_member_and_keeps_the_role(client, acme, bob, invited):
    client.force_login(bob)
    assert client.post(invited[1]).status_code == 422
    assert role_of(bob, acme) == "viewer"


def test_links_that_are_over(client, alice, acme, invited):
    acme.invitations.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "This invitation is over" in client.get(invited[1]).content.decode()
    assert client.get("/invitations/nothing/").status_code == 404
    acme.invitations.update(expires_at=timezone.now() + timedelta(days=1))
    client.force_login(alice)
    client.post(f"/organisation/invitations/{invited[0].pk}/revoke/")
    assert noted("Revoked invitation").get().before == {"role": "admin"}
    assert client.get(invited[1]).status_code == 404


def test_roles_are_changed_and_members_removed(client, acme, alice, bob):
    client.force_login(alice)
    row = Membership.objects.get(user=bob).pk
    assert client.post(f"/organisation/members/{row}/role/", {"role": "admin"}).status_code == 302
    assert role_of(bob, acme) == "admin"
    event = noted("Changed role").get()
    assert (event.subject, event.before, event.after) == ("bob", {"role": "viewer"}, {"role": "admin"})
    assert client.post(f"/organisation/members/{row}/remove/").status_code == 302
    assert role_of(bob, acme) is None
    assert noted("Removed member").get().before == {"role": "admin"}
    client.force_login(bob)
    assert client.get("/stores/").status_code == 403


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_who_may_invite_no_longer_leaves_no_way_back(client, acme, alice, how):
    eve = factories.user("eve", acme, "owner")
    _, token = members.invite(acme, email="back@example.com", role="owner", by=eve)
    row = eve.memberships.get()
    members.remove(row, by=alice) if how == "removed" else members.change_role(row, "viewer", by=alice)
    assert client.get(f"/invitations/{token}/").status_code == 404


def test_the_last_owner_stays(client, acme, alice, bob):
    client.force_login(alice)
    row = Membership.objects.get(user=alice).pk
    for address, given in (
        (f"/organisation/members/{row}/role/", {"role": "viewer"}),
        (f"/organisation/members/{row}/remove/", {}),
        ("/organisation/leave/", {}),
    ):
        answer = client.post(address, given)
        assert answer.status_code == 422
        assert "Make somebody else one first" in answer.content.decode()
        assert role_of(alice, acme) == "owner"
    assert AuditEvent.objects.filter(outcome="refused").count() == 3
    Membership.objects.filter(user=bob).update(role="owner")
    assert client.post("/organisation/leave/").status_code == 302
    assert role_of(alice, acme) is None


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_go_at_the_same_time_leave_one(acme, alice):
    factories.user("other", acme, "owner")
    rows, start = [*acme.memberships.select_related("user", "organisation")], Barrier(2)

    def leave(row):
        try:
            connection.ensure_connection()
            start.wait(60)
            members.remove(row, by=row.user)
        except members.MembershipRefused:
            return "refused"
        finally:
            close_old_connections()
            connection.close()
        return "gone"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, rows)) == ["gone", "refused"]
    assert acme.memberships.filter(role="owner").count() == 1


def test_another_organisation_is_opened_and_kept(client, acme, alice, charlie, account):
    other = charlie.memberships.get().organisation
    Membership.objects.create(user=alice, organisation=other, role="viewer")
    client.force_login(alice)
    address = account.get_absolute_url()
    assert client.get(address).status_code == 200
    assert "Globex" not in client.get("/organisation/").content.decode()
    answer = client.post("/organisation/switch/", {"organisation": str(other.pk), "next": "/organisation/"})
    assert answer["Location"] == "/organisation/"
    page = client.get("/organisation/").content.decode()
    assert f"Members of {other.name.replace(chr(39), '&#x27;')}" in page
    assert "Invite Member" not in page  # she views this one
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Switch to Acme" in answer.content.decode()
    other.memberships.filter(user=alice).delete()
    assert client.get(address).status_code == 200  # back to what is left


def test_switching_goes_nowhere_else(client, alice, charlie):
    client.force_login(alice)
    mine = alice.memberships.get().organisation_id
    foreign = charlie.memberships.get().organisation_id
    for given in (str(foreign), "nothing", ""):
        assert client.post("/organisation/switch/", {"organisation": given}).status_code == 404
    answer = client.post("/organisation/switch/", {"organisation": str(mine), "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_a_stranger_is_told_nothing_of_where_it_is(client, alice, charlie, account):
    Membership.objects.create(user=charlie, organisation=factories.organisation("Third"), role="owner")
    client.force_login(charlie)
    answer = client.get(account.get_absolute_url())
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_the_administration_page_says_what_the_table_says():
    page = (ROOT / "console/deploy/administration.md").read_text()
    table = page.split("| May | Owner | Admin | Auditor | Viewer |\n")[1].split("\n\n")[0]
    said = {line.split("|")[1].strip(): line.split("|")[2:6] for line in table.splitlines()[1:]}
    held = {permission for permissions in ROLES.values() for permission in permissions}
    assert {name.replace(" ", "_") for name in said} == {permission.value for permission in held}
    for name, cells in said.items():
        expected = [name.replace(" ", "_") in ROLES[role] for role in ("owner", "admin", "auditor", "viewer")]
        assert [cell.strip() == "yes" for cell in cells] == expected, name
    assert ROLE_WORDS.keys() == {*Membership.Role.values}
