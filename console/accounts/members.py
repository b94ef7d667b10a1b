"""Who belongs to an organisation: invited, joined, given another role, gone. Its last owner always stays."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_noop

from console.accounts import activity
from console.accounts.addresses import normalised
from console.accounts.models import Invitation, Membership, Organisation, User
from console.accounts.permissions import ROLES, Permission
from console.accounts.sign_in import has_second_factor

INVITED_FOR = timedelta(days=7)
NAME_TAKEN = "Somebody has this user name already. Choose another one."


class MembershipRefused(Exception):
    """A rule forbids it; the message says which one, and what to do. `field` is the form's, or ''."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def invite(
    organisation: Organisation, *, email: str, role: str, by: User | None, operator: bool = False
) -> tuple[Invitation, str]:
    """Invite whoever has the address, in place of an earlier invitation; returns it, and the token of its link.

    The token is kept nowhere. `by` is None for the console's operator at a terminal, who alone can invite another
    operator. Raises Refused.
    """
    assert not operator or by is None, "nobody makes operators in the console"
    token = token_urlsafe(32)
    try:
        email = normalised(email)
    except ValueError as error:
        raise MembershipRefused(str(error), "email") from error
    with transaction.atomic():
        organisation = Organisation.locked(organisation.pk)
        if organisation.memberships.filter(user__email__lower=email.lower()).exists():
            raise MembershipRefused(gettext_noop("{email} is a member already.").format(email=email), "email")
        organisation.invitations.filter(email__lower=email.lower()).delete()
        limit = organisation.invitations_at_most
        if organisation.invitations.filter(expires_at__gt=timezone.now()).count() >= limit:
            raise MembershipRefused(
                gettext_noop(
                    "{limit} invitations are open, and no more may be. Revoke one, or ask support to raise the limit."
                ).format(limit=limit),
                "email",
            )
        invitation = organisation.invitations.create(
            email=email,
            role=role,
            token_sha256=_digest(token),
            expires_at=timezone.now() + INVITED_FOR,
            by=by,
            operator=operator,
        )
        after = {"role": role, "operator": True} if operator else {"role": role}
        activity.record("Invited", email, organisation=organisation, by=by, after=after)
    return invitation, token


def send(invitation: Invitation, link: str) -> str:
    """Send the link, where the console can send e-mail; returns "sent", "failed", or "" where it cannot."""
    if not settings.EMAIL_HOST:
        return ""
    text = render_to_string("accounts/member_invitation.txt", {"invitation": invitation, "link": link})
    subject = f"Join {invitation.organisation} on Storekeeper".replace("\n", " ").replace("\r", " ")
    try:
        send_mail(subject, text, None, [invitation.email])
    except OSError:  # as all of smtplib's are
        return "failed"
    return "sent"


def revoke(invitation: Invitation, *, by: User | None) -> None:
    """Take the invitation back: its link leads nowhere any more."""
    with transaction.atomic():
        before = {"role": invitation.role}
        if Invitation.objects.filter(pk=invitation.pk).delete()[0]:
            activity.record(
                "Revoked invitation", invitation.email, organisation=invitation.organisation, by=by, before=before
            )


def find_invitation(token: str) -> Invitation | None:
    """Return the invitation whose link has the token, if it may still be used."""
    open_now = Invitation.objects.select_related("organisation", "by").filter(expires_at__gt=timezone.now())
    return open_now.filter(token_sha256=_digest(token)).first()


def join(invitation: Invitation, user: User) -> Membership:
    """Make the user a member, once; raises Refused when the invitation is used, or is for somebody else."""
    with transaction.atomic():
        Organisation.locked(invitation.organisation_id)
        if user.email and user.email.lower() != invitation.email.lower():
            raise MembershipRefused(
                gettext_noop(
                    "This invitation is for {email}, and you are signed in as {username} ({email_2}). Sign "
                    "out, then open the link again."
                ).format(email=invitation.email, username=user.username, email_2=user.email)
            )
        if not Invitation.objects.filter(pk=invitation.pk).delete()[0]:
            raise MembershipRefused(gettext_noop("The invitation was just used, or revoked. Ask for another one."))
        if Membership.objects.filter(organisation=invitation.organisation_id, user=user).exists():
            raise MembershipRefused(
                gettext_noop("You are a member of {organisation} already.").format(organisation=invitation.organisation)
            )
        if not user.email:
            user.email = invitation.email
            user.save(update_fields=["email"])
        membership: Membership = Membership.objects.create(
            organisation=invitation.organisation, user=user, role=invitation.role
        )
        activity.record("Joined", user, organisation=invitation.organisation, by=user, after={"role": invitation.role})
        if invitation.operator:
            user.is_staff = user.is_superuser = True
            user.save(update_fields=["is_staff", "is_superuser"])
            activity.record("Became operator", user, organisation=invitation.organisation, by=user)
    return membership


def sign_up(invitation: Invitation, *, username: str, password: str) -> Membership:
    """Make a user who has the invitation's address, and a member; raises Refused, with nothing made."""
    with transaction.atomic():
        user = User(username=username, email=invitation.email, password=make_password(password))
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as error:
            raise MembershipRefused(NAME_TAKEN, "username") from error
        return join(invitation, user)


def change_role(membership: Membership, role: str, *, by: User | None) -> None:
    """Give the member another role; raises Refused for the last owner."""
    action, member, organisation = "Changed role", membership.user, membership.organisation
    try:
        with transaction.atomic():
            known = _held(membership)
            if role != Membership.Role.OWNER:
                _keep_an_owner(known)
            before, known.role = known.role, role
            known.save(update_fields=["role"])
            if Permission.MANAGE_MEMBERS not in ROLES[role]:
                _revoke_those_of(member, organisation)
            activity.record(
                action, member, organisation=organisation, by=by, before={"role": before}, after={"role": role}
            )
    except MembershipRefused as refusal:
        _note_refusal(action, membership, by, refusal)
        raise


def remove(membership: Membership, *, by: User | None) -> None:
    """End the membership: by an owner, or by the member; raises Refused for the last owner."""
    action, member, organisation = "Removed member", membership.user, membership.organisation
    try:
        with transaction.atomic():
            known = _held(membership)
            _keep_an_owner(known)
            activity.record(action, member, organisation=organisation, by=by, before={"role": known.role})
            known.delete()
            _revoke_those_of(member, organisation)
    except MembershipRefused as refusal:
        _note_refusal(action, membership, by, refusal)
        raise


def require_second_factor(organisation: Organisation, required: bool, *, by: User | None) -> None:
    """Ask a second factor of every member from their next click on, or no longer.

    Raises Refused for a person who has none: they would lock themselves out.
    """
    if required and by and not has_second_factor(by):
        raise MembershipRefused(gettext_noop("Set up a second factor of your own first: you would lock yourself out."))
    with transaction.atomic():
        Organisation.objects.filter(pk=organisation.pk).update(second_factor_required=required)
        activity.record(
            "Required a second factor" if required else "Required no second factor any more",
            organisation,
            organisation=organisation,
            by=by,
        )


def _revoke_those_of(user: User, organisation: Organisation) -> None:
    """Take back the invitations of somebody who may invite no longer: one could be a way back in."""
    organisation.invitations.filter(by=user).delete()


def _held(membership: Membership) -> Membership:
    """Return the membership as it is now; until the transaction ends, no other of the organisation is changed."""
    Organisation.locked(membership.organisation_id)
    known: Membership | None = Membership.objects.filter(pk=membership.pk).first()
    if known is None:
        raise MembershipRefused(gettext_noop("{user} is a member no longer.").format(user=membership.user))
    return known


def _keep_an_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(organisation=membership.organisation_id, role=Membership.Role.OWNER)
    if membership.role == Membership.Role.OWNER and not owners.exclude(pk=membership.pk).exists():
        raise MembershipRefused(
            gettext_noop("An organisation always has an owner, and this is its last one. Make somebody else one first.")
        )


def _note_refusal(action: str, membership: Membership, by: User | None, refusal: MembershipRefused) -> None:
    activity.record(
        action,
        membership.user,
        organisation=membership.organisation,
        by=by,
        outcome=activity.Outcome.REFUSED,
        after={"reason": str(refusal)},
    )


def _digest(token: str) -> str:
    # Not a password: 256 random bits, which nobody can try.
    return sha256(token.encode()).hexdigest()
