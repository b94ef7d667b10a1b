"""Cloud accounts: linked, given another name or key, verified, unlinked; and what the console may do in them."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Schema
from pydantic import ConfigDict, Field, StrictInt

from console.accounts.permissions import Permission
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, changes, does, reads, removes, sets
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Shape
from console.api.shown import moment
from console.cloud_accounts import actions, attempts, budget, preflight
from console.cloud_accounts.forms import ChangeForm, LinkForm, LookingForm
from console.cloud_accounts.models import Attempt, CloudAccount, Preflight
from console.clouds import CLOUDS
from console.clouds.contract import Document, LinkError

LONGEST_SECRET = 20_000  # characters: a certificate, or a key file
Credentials = Annotated[
    dict[str, str | bool],
    Field(description="By name, as GET /cloud-account-types lists them.", max_length=40),
]


class Attempting(Shape):
    """What a worker asks the cloud about an account, and what came of it."""

    id: UUID
    verb: str
    state: Annotated[str, Field(description="waiting, done or refused.")]
    error: Annotated[str, Field(description="Why it was refused.")]
    field: Annotated[str, Field(description="Of the credentials, which one that is about.")]
    cloud_account_id: UUID | None
    begun_at: datetime


def _account(request: CallRequest, pk: UUID) -> CloudAccount:
    account: CloudAccount = get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=pk)
    return account


def _attempting(one: Attempt) -> dict[str, Any]:
    state = "waiting" if one.is_waiting else "done" if one.done_at else "refused"
    return {
        "id": str(one.key),
        "verb": one.verb,
        "state": state,
        "error": attempts.how_it_ended(one) if state == "refused" else "",
        "field": one.details.get("field", "") if state == "refused" else "",
        "cloud_account_id": str(one.cloud_account_id) if one.cloud_account_id else None,
        "begun_at": moment(one.begun_at),
    }


def _begin(
    request: CallRequest, verb: Attempt.Verb, entered: dict[str, Any], account: CloudAccount | None = None
) -> HttpResponse:
    """Have a worker ask the cloud, and answer with that."""
    try:
        begun = attempts.begin(request.membership, verb, account=account, entered=entered)
    except LinkError as error:
        raise _refused(error) from error
    return _shown(request, begun)


def _shown(request: CallRequest, begun: Attempt) -> HttpResponse:
    where = f"/api/v1/cloud-account-attempts/{begun.key}"
    return answered(_attempting(_attempt(request, begun.key)), status=202, location=where)


def _refused(error: LinkError) -> Problem:
    return (
        Problem(409, str(error)) if error.passing or not error.field else fields([(_pointer(error.field), str(error))])
    )


def _pointer(name: str) -> str:
    return f"/{name}" if name in {"name", "type"} else f"/credentials/{name}"


def _attempt(request: CallRequest, key: UUID) -> Attempt:
    found: Attempt | None = Attempt.objects.of(request.membership).filter(key=key).first()
    if found is None:
        raise Http404
    return found


@reads("/cloud-account-attempts/{uuid:key}", Permission.MANAGE_ACCOUNTS, Attempting)
def get_cloud_account_attempt(request: CallRequest, key: UUID) -> HttpResponse:
    """Show how far an attempt of one's own is; it is forgotten after ten minutes."""
    return answered(_attempting(_attempt(request, key)))


# Linking


class Question(Shape):
    """One thing that is asked to link an account."""

    name: str
    label: str
    hint: str
    kind: Annotated[str, Field(description="text, area, choice or flag.")]
    is_secret: bool
    is_required: bool
    choices: list[str]
    method: Annotated[str, Field(description="Asked only where the field method has this value; empty: always.")]


class SetupFile(Shape):
    """A file with which the access is set up that linking needs."""

    filename: str
    label: str
    hint: str
    command: str
    text: str


class CloudAccountType(Shape):
    """A cloud, or a server, whose accounts can be linked."""

    type: str
    label: str
    service: str
    external_id: Annotated[str, Field(description="Of the account that this member links next.")]
    credentials: list[Question]
    files: list[SetupFile]


class CloudAccountTypes(Shape):
    items: list[CloudAccountType]


def _file(one: Document) -> dict[str, str]:
    return {name: getattr(one, name) for name in SetupFile.model_fields}


@reads("/cloud-account-types", Permission.MANAGE_ACCOUNTS, CloudAccountTypes)
def list_cloud_account_types(request: CallRequest) -> HttpResponse:
    """List what can be linked, what each asks for, and the files that give the console its access there."""
    external_id = actions.external_id(request.membership)
    items = []
    for cloud in CLOUDS.values():
        organisation = request.membership.organisation
        form = LinkForm(organisation=organisation, chosen=cloud.key, external_id=external_id)
        asked = [
            {
                **{name: getattr(one, name) for name in ("name", "label", "hint", "kind", "method")},
                "is_secret": one.secret,
                "is_required": bool(one.required),
                "choices": [key for key, _ in one.choices],
            }
            for one in form.asked
        ]
        told = {"type": cloud.key, "label": cloud.label, "service": cloud.service, "external_id": external_id}
        items.append({**told, "credentials": asked, "files": [_file(one) for one in form.documents()]})
    return answered({"items": items})


class SetupFiles(Shape):
    items: list[SetupFile]


@reads("/cloud-accounts/{uuid:pk}/files", Permission.SEE_ACCOUNTS, SetupFiles)
def list_cloud_account_files(request: CallRequest, pk: UUID) -> HttpResponse:
    """List the files that give the console its access to a linked account."""
    return answered({"items": [_file(one) for one in _account(request, pk).documents]})


class NewCloudAccount(Body):
    """An account to link."""

    model_config = sent(
        longest=LONGEST_SECRET,
        name="production",
        type=next(iter(CLOUDS)),
        credentials={"method": "access_key", "access_key_id": "AKIA…", "secret_access_key": "…"},  # an example
    )

    name: Annotated[str, Field(max_length=500)]
    type: Annotated[str, Field(max_length=20, description="One of GET /cloud-account-types.")]
    credentials: Credentials


def _named(form: Any) -> Problem:
    """Return the refusal of a form whose fields are the credentials."""
    return of_form(form, {name: _pointer(name)[1:] for name in form.fields} | {"provider": "type"})


def _given(credentials: dict[str, str | bool], asked: Any) -> dict[str, Any]:
    """Return the credentials as the form has them; raises Problem for one that the cloud does not ask for."""
    kinds = {one.name: one.kind for one in asked}
    wrong = [
        (_pointer(name[:60]), "There is no such field." if name not in kinds else "Send a text.")
        for name, value in credentials.items()
        if name not in kinds or (isinstance(value, bool) and kinds[name] != "flag")
    ]
    if wrong:
        raise fields(wrong)
    return dict(credentials)


@does("/cloud-accounts", Permission.MANAGE_ACCOUNTS, Attempting, status=202)
@once
def link_cloud_account(request: CallRequest, asked: NewCloudAccount) -> HttpResponse:
    """Have a worker ask the cloud who this is; once it is known, the account is linked. Location says how far it is."""
    member = request.membership
    if asked.type not in CLOUDS:
        raise fields([("/type", f"Choose one of {', '.join(CLOUDS)}.")])
    given = {**_given(asked.credentials, CLOUDS[asked.type].linking.fields), "name": asked.name, "provider": asked.type}
    form = LinkForm(given, organisation=member.organisation, chosen=asked.type, external_id=actions.external_id(member))
    if not form.is_valid():
        raise _named(form)
    entered = form.entered()
    entered["asked"]["provider"] = asked.type
    return _begin(request, Attempt.Verb.LINK, entered)


# What is linked


class ChangedCloudAccount(Body):
    """What is to be another: the name, or some of the credentials; secrets that are not sent stay."""

    model_config = sent(longest=LONGEST_SECRET, name="production", credentials={"secret_access_key": "…"})  # an example

    name: Annotated[str | None, Field(max_length=500)] = None
    credentials: Credentials = {}


@changes("/cloud-accounts/{uuid:pk}", Permission.MANAGE_ACCOUNTS, shapes.CloudAccount, begun=Attempting)
def change_cloud_account(request: CallRequest, pk: UUID, asked: ChangedCloudAccount) -> HttpResponse:
    """Rename an account (200); or have a worker try other credentials (202), with which the present ones are replaced.

    What is tried must belong to the same account, and may do what the present one may.
    """
    account, member = _account(request, pk), request.membership
    given = _given(asked.credentials, account.cloud.linking.fields)
    known = {one.name: account.settings.get(one.name, "") for one in account.cloud.linking.fields if not one.secret}
    form = ChangeForm({**known, **given, "name": account.name if asked.name is None else asked.name}, account=account)
    if not form.is_valid():
        raise _named(form)
    try:
        begun = attempts.change(member, account, form.entered())
    except LinkError as error:
        raise _refused(error) from error
    if begun is None:
        return answered(shown.cloud_account(_account(request, pk)))
    return _shown(request, begun)


@does("/cloud-accounts/{uuid:pk}/verify", Permission.MANAGE_ACCOUNTS, Attempting, status=202)
@once
def verify_cloud_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Have a worker ask the cloud again whether the account still works; what it finds stands on the account."""
    return _begin(request, Attempt.Verb.VERIFY, {}, _account(request, pk))


@removes("/cloud-accounts/{uuid:pk}", Permission.MANAGE_ACCOUNTS)
def unlink_cloud_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Forget an account that nothing uses (409), with its secrets; nothing is changed in the cloud."""
    account = _account(request, pk)
    try:
        actions.unlink(account, by=request.person)
    except actions.InUse as error:
        said = f"{account.name} is in use: {error}. Delete what uses it first; nothing was changed."
        raise Problem(409, said) from error
    return answered(None, status=204)


class Looking(Shape):
    """How often the account's backups are looked for, and what that takes."""

    hours: int
    calls_a_day: int
    calls_today: int
    is_exhausted: bool


def _looking(account: CloudAccount) -> dict[str, Any]:
    usage = budget.usage(account)
    set_for = {"hours": usage.budget.hours, "calls_a_day": usage.budget.calls_a_day}
    return {**set_for, "calls_today": usage.today.all, "is_exhausted": usage.is_exhausted}


@reads("/cloud-accounts/{uuid:pk}/looking", Permission.SEE_ACCOUNTS, Looking)
def get_cloud_account_looking(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show how often the account's backups are looked for, and how many calls that took today."""
    return answered(_looking(_account(request, pk)))


class NewLooking(Body):
    """How often backups are looked for at least, and with how many calls a day at most."""

    model_config = sent(hours=6, calls_a_day=50_000)

    hours: StrictInt
    calls_a_day: StrictInt


@sets("/cloud-accounts/{uuid:pk}/looking", Permission.MANAGE_ACCOUNTS, Looking)
def set_cloud_account_looking(request: CallRequest, pk: UUID, asked: NewLooking) -> HttpResponse:
    """Set how often the account's backups are looked for, and how many calls a day that may take."""
    account = _account(request, pk)
    form = LookingForm(asked.dict(), instance=budget.of(account.pk))
    if not form.is_valid():
        raise of_form(form)
    budget.change(account, **form.cleaned_data, by=request.person)
    return answered(_looking(_account(request, pk)))


# What the console may do there


class PermissionCheck(Shape):
    """Something that the console needs in an account."""

    label: str
    on: str
    outcome: Annotated[str, Field(description="pass, fail or unknown.")]
    without: Annotated[str, Field(description="What breaks without it.")]
    why: str
    regions: list[str]
    is_required: bool


class AccountPermissions(Shape):
    """What the console may do in an account, as a worker found it last."""

    cloud_account_id: UUID
    read_at: datetime | None
    is_awaited: bool
    error: str
    statements: Annotated[str, Field(description="What to add to the console's permissions; empty: nothing.")]
    checks: list[PermissionCheck]


class InRegion(Schema):
    model_config = ConfigDict(extra="forbid")

    region: Annotated[str, Field(max_length=100, description="A code or a place; only what is about it.")] = ""


def _permissions(account: CloudAccount, found: Preflight) -> dict[str, Any]:
    return {
        "cloud_account_id": str(account.pk),
        "read_at": moment(found.read_at),
        "is_awaited": found.is_awaited,
        "error": found.error,
        "statements": found.statements,
        "checks": [
            {
                **{name: getattr(one, name) for name in ("label", "on", "outcome", "without", "why")},
                "regions": list(one.regions),
                "is_required": one.required,
            }
            for one in found.checks
        ],
    }


@reads("/cloud-accounts/{uuid:pk}/permissions", Permission.SEE_ACCOUNTS, AccountPermissions, asked=InRegion)
def get_cloud_account_permissions(request: CallRequest, pk: UUID, asked: Query[InRegion]) -> HttpResponse:
    """Show what the console may do in an account: in a region, or where its stores are."""
    account = _account(request, pk)
    region = _region(account, asked.region)
    found = preflight.found(account).within([region]) if region else preflight.found_where_used(account)
    return answered(_permissions(account, found))


class RegionToCheck(Body):
    """In which region, beside those of the stores."""

    model_config = sent(region="eu-west-1")

    region: str = ""


@does("/cloud-accounts/{uuid:pk}/permissions/check", Permission.MANAGE_ACCOUNTS, AccountPermissions, status=202)
@once
def check_cloud_account_permissions(request: CallRequest, pk: UUID, asked: RegionToCheck) -> HttpResponse:
    """Have looked up now what the console may do in the account; what is found stands at Location."""
    account = _account(request, pk)
    region = _region(account, asked.region)
    actions.check_account(account, region=region)
    where = f"/api/v1/cloud-accounts/{pk}/permissions"
    return answered(_permissions(account, preflight.found(account)), status=202, location=where)


def _region(account: CloudAccount, text: str) -> str:
    """Return the code of the region; raises Problem for a text that names none, or several."""
    code = preflight.chosen_region(account, text)
    if text and not code and not account.cloud.storage.one_region:
        raise fields([("/region", "There is no such region here, or there are several. Send its code.")])
    return code
