"""`manage.py bootstrap`: the first organisation, its owner and the operator, on an empty console."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from django.utils import timezone

from console.accounts import activity, installation, members
from console.accounts.addresses import normalised
from console.accounts.models import Installation, Membership, Organisation, User
from console.environment import env, env_url
from console.web.checks import BEFORE_COMMANDS

WRONG = 2  # the exit status, as argparse's
ENVIRONMENT = {
    "organisation": "BOOTSTRAP_ORGANISATION",
    "edition": "BOOTSTRAP_EDITION",
    "owner": "BOOTSTRAP_OWNER",
    "operator": "BOOTSTRAP_OPERATOR",
    "url": "PUBLIC_URL",
}
Role = Membership.Role


class Command(BaseCommand):
    """Make what a new console needs, and nothing that is there already; safe to run again."""

    requires_system_checks = BEFORE_COMMANDS
    help = (
        "Make the first organisation, and invite its owner, and an operator (superuser) if one is named, by a link "
        "that is printed this one time, and sent where the console can send mail. Run it again as often as you like: "
        "it says what is there. Each argument also from the environment: "
        + ", ".join(ENVIRONMENT.values())
        + ". Wrong ones end "
        "with status 2, and nothing changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whom and what to make."""
        parser.add_argument("--organisation", metavar="NAME", help="its name [BOOTSTRAP_ORGANISATION]")
        parser.add_argument(
            "--edition",
            metavar="EDITION",
            help="enterprise (default: with backup stores) or developer [BOOTSTRAP_EDITION]",
        )
        parser.add_argument("--owner", metavar="ADDRESS", help="its owner's e-mail address [BOOTSTRAP_OWNER]")
        parser.add_argument(
            "--operator",
            metavar="ADDRESS",
            help="who may do everything in /admin/, such as the owner, or somebody else, who becomes a viewer of the "
            "organisation, too [BOOTSTRAP_OPERATOR]",
        )
        parser.add_argument("--url", metavar="URL", help="where people reach the console, for the links [PUBLIC_URL]")
        parser.add_argument(
            "--new-link", action="store_true", help="another link for those who have not joined; the former one is void"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was made and what was there."""
        wanted = {name: self._given(name, options[name]) for name in ENVIRONMENT}
        organisation = self._organisation(wanted["organisation"], wanted["edition"] or Organisation.Edition.ENTERPRISE)
        owner, operator = (self._address(name, wanted[name]) for name in ("owner", "operator"))
        if not owner:
            raise _wrong("Name the owner: --owner ADDRESS, or BOOTSTRAP_OWNER.")
        url = self._url(wanted["url"])
        try:
            self._is_ready()
            with transaction.atomic():  # two at once: the second one waits here, and finds what the first one has made
                Installation.objects.select_for_update().defer("proof").get(pk=installation.this().pk)
                organisation = self._made(organisation)
                invitations = self._invited(organisation, owner, operator, new_link=options["new_link"])
        except DatabaseError as error:
            raise CommandError(f"The database at DATABASE_URL does not answer: {type(error).__name__}.") from error
        for invitation, token in invitations:
            self._tell(invitation, url + reverse("join", args=[token]))

    def _given(self, name: str, argument: str | None) -> str:
        if argument is not None:
            return argument.strip()
        try:
            variable = ENVIRONMENT[name]
            return env_url(variable, "https://console.example.org") if name == "url" else env(variable, "").strip()
        except ImproperlyConfigured as error:
            raise _wrong(str(error)) from error

    def _organisation(self, name: str, edition: str) -> Organisation:
        if not name:
            raise _wrong("Name the organisation: --organisation NAME, or BOOTSTRAP_ORGANISATION.")
        if edition.lower() not in Organisation.Edition.values:
            raise _wrong(f"The edition is {edition[:40]!r}: it is one of {', '.join(Organisation.Edition.values)}.")
        organisation = Organisation(name=name, edition=edition.lower())
        try:
            organisation.clean_fields()
        except ValidationError as error:
            raise _wrong(f"The organisation's name is none: {' '.join(error.messages)}") from error
        return organisation

    def _address(self, who: str, address: str) -> str:
        if not address:
            return ""
        try:
            validate_email(address)
            return normalised(address)
        except ValidationError as error:
            raise _wrong(f"The address of the {who}, {address[:80]!r}, is no e-mail address.") from error
        except ValueError as error:
            raise _wrong(f"The address of the {who}: {error}") from error

    def _url(self, given: str) -> str:
        if not given:
            host = next((one for one in settings.ALLOWED_HOSTS if one.strip(".*") and not one.startswith(".")), "")
            scheme = "http" if settings.INSECURE_HTTP else "https"
            given = f"{scheme}://{host}" if host not in {"", "localhost", "127.0.0.1"} else ""
        url = urlsplit(given)
        if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
            raise _wrong(
                "Say where people reach the console, for the links: --url https://console.example.org, or PUBLIC_URL, "
                "or ALLOWED_HOSTS."
            )
        return given.rstrip("/")

    def _is_ready(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The database is not up to date: run manage.py migrate first.")

    def _made(self, wanted: Organisation) -> Organisation:
        there = list(Organisation.objects.order_by("created_at"))
        known = next((one for one in there if one.name.casefold() == wanted.name.casefold()), None)
        if known:
            self.stdout.write(f"{known} is there: edition {known.get_edition_display()}.")
            if known.edition != wanted.edition:
                self.stdout.write(f"Its edition was left as it is; set {wanted.get_edition_display()} in /admin/.")
            return known
        if there:
            raise _wrong(
                f"There is an organisation already: {there[0]}. Nothing was made. An operator makes others in /admin/."
            )
        wanted.save()
        after = {"edition": wanted.edition}
        activity.record("Made organisation", wanted, organisation=wanted, by=None, after=after)
        self.stdout.write(f"{wanted} was made: edition {wanted.get_edition_display()}.")
        return wanted

    def _invited(self, organisation: Organisation, owner: str, operator: str, *, new_link: bool) -> list[Any]:
        same = operator.lower() == owner.lower()
        made = [self._invite(organisation, owner, Role.OWNER, operator=bool(operator) and same, new_link=new_link)]
        if operator and not same:
            made.append(self._invite(organisation, operator, Role.VIEWER, operator=True, new_link=new_link))
        return [one for one in made if one]

    def _invite(self, organisation: Organisation, address: str, role: Role, *, operator: bool, new_link: bool) -> Any:
        what = " and ".join([role.label.lower()] * (role == Role.OWNER or not operator) + ["operator"] * operator)
        member = organisation.memberships.filter(user__email__lower=address.lower()).select_related("user").first()
        if member:
            self._say_member(member, role, operator=operator)
            return None
        owners = organisation.memberships.filter(role=Role.OWNER).select_related("user")
        if role == Role.OWNER and (other := owners.first()):
            raise _wrong(
                f"{organisation} has an owner: {other.user}. Nothing was made. Owners invite others under Members."
            )
        if operator and (other_operator := User.objects.filter(is_superuser=True, is_active=True).first()):
            raise _wrong(f"There is an operator: {other_operator}. Nothing was made. Operators make others in /admin/.")
        known = organisation.invitations.filter(email__lower=address.lower()).first()
        if known and not new_link and (known.role, known.operator) == (role, operator):
            open_until = (
                f"until {known.expires_at:%Y-%m-%d %H:%M} UTC" if known.expires_at > timezone.now() else "but too late"
            )
            self.stdout.write(f"{address} is invited as {what}, {open_until}. Another link: --new-link.")
            return None
        try:
            invitation = members.invite(organisation, email=address, role=role, by=None, operator=operator)
        except members.MembershipRefused as refusal:
            raise _wrong(str(refusal)) from refusal
        self.stdout.write(f"{address} is invited as {what}.")
        return invitation

    def _say_member(self, member: Membership, role: Role, *, operator: bool) -> None:
        self.stdout.write(f"{member.user} ({member.user.email}) is {member.get_role_display().lower()} already.")
        if role == Role.OWNER and member.role != Role.OWNER:
            self.stdout.write("Their role was left as it is: an owner changes it under Members.")
        if operator and not member.user.is_superuser:
            self.stdout.write("They are no operator, and were not made one: an operator does that in /admin/.")

    def _tell(self, invitation: Any, link: str) -> None:
        self.stdout.write(
            f"\nThe link for {invitation.email}, which works once, for seven days, and is shown this one time:"
        )
        self.stdout.write(link)
        sent = {"sent": "It was sent, too.", "failed": "It could not be sent: the mail server refused it, or is away."}
        self.stdout.write(sent.get(members.send(invitation, link), "No mail was sent: hand it over yourself."))


def _wrong(message: str) -> CommandError:
    return CommandError(message, returncode=WRONG)
