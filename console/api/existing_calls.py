"""Buckets that are there already: have them looked at, read what was found, add them as was decided about that."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, creates, deletes, reads
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form, stores
from console.cloud_accounts.models import CloudAccount
from console.clouds.contents import Contents
from console.operations.actions import NotNow
from console.web.csv_lines import LINES_AT_MOST
from stores.actions import LimitReached, NameTaken
from stores.control_status import agreed
from stores.drift import Changed
from stores.existing import actions
from stores.existing.forms import ACCEPT, SET, DecisionForm, Wishes
from stores.forms import NAME_TAKEN
from stores.models import BucketLook
from stores.unmanaged import known_names

PATH = "/stores/existing"
CHANGED = "What was found has changed since that was read. Read it again, then decide."
FIELDS = {"account": "cloud_account_id"}  # as the call names them


class FoundControl(shapes.Shape):
    """A setting of the bucket: what it is, what a store would have, and whether that can be chosen."""

    key: str
    label: str
    state: Annotated[str, Field(description="ok, off (it differs), or unseen.")]
    found: str
    wanted: str
    can_be_set: bool


class BucketRepository(shapes.Shape):
    path: str
    stanzas: list[str]


class ExistingBucket(shapes.Shape):
    """A bucket that is looked at; what is null or empty was not found out yet."""

    id: UUID
    cloud_account_id: UUID
    bucket: str
    name: Annotated[str, Field(description="Of the store that it is to be.")]
    region: str
    log_bucket: str
    state: Annotated[str, Field(description="looking, found, or failed: then `error` says why.")]
    error: str
    looked_at: datetime | None
    seen: Annotated[str, Field(description="What was found, as `add` wants it back.")]
    obstacle: Annotated[str, Field(description="Why it cannot be added; empty: it can.")]
    owner: Annotated[str, Field(description="By its tag: ours, other, or empty without one.")]
    tag_command: Annotated[str, Field(description="What shows that you may add it, run by its administrator.")]
    warnings: list[str]
    contents: Annotated[str, Field(description="What is in it, counted, such as 3 objects.")]
    controls: list[FoundControl]
    repositories: list[BucketRepository]
    is_whole: Annotated[bool, Field(description="Whether all folders were looked through for repositories.")]


class BucketToLookAt(Schema):
    """A bucket to look at: what a line of the import has."""

    model_config = ConfigDict(extra="forbid", str_max_length=500)

    cloud_account_id: UUID
    bucket: str
    region: Annotated[str, Field(description="Where it has to be; empty: anywhere.")] = ""
    name: Annotated[str, Field(description="Of the store that it is to be; empty: as the bucket.")] = ""
    log_bucket: Annotated[str, Field(description="A bucket that is there, for its access logs.")] = ""


class BucketsToLookAt(Schema):
    """Buckets to look at."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[BucketToLookAt], Field(min_length=1, max_length=LINES_AT_MOST)]


class BucketsLookedAt(shapes.Shape):
    """The buckets that are looked at, in the order in which they were named."""

    items: list[ExistingBucket]


class Decided(Schema):
    """What is done with a bucket that was looked at."""

    model_config = ConfigDict(extra="forbid", str_max_length=500)

    seen: Annotated[str, Field(description="`seen` of what was read: it is added as that says, or not at all.")]
    logs: Annotated[Literal["made", "named", "none"], Field(description="Where its access logs go.")]
    logs_into: Annotated[str, Field(description="With `named`: the bucket.")] = ""
    name: Annotated[str, Field(description="Of the store; empty: as it was named for the look.")] = ""
    tag: Annotated[bool, Field(description="The console may set the store's tags on it.")] = False
    controls: Annotated[
        dict[str, Literal["set", "accept"]],
        Field(description="By the key of a control that can be set; what is not named is accepted as it is."),
    ] = {}


def _looks(membership: Membership) -> QuerySet[BucketLook]:
    looks = BucketLook.objects.filter(cloud_account__organisation=membership.organisation_id)
    return looks.select_related("cloud_account__organisation")


def _look(request: CallRequest, pk: UUID) -> BucketLook:
    return get_object_or_404(_looks(request.membership), key=pk)


def shown_look(look: BucketLook, by: Membership, known: Collection[tuple[str, str]] | None = None) -> dict[str, Any]:
    """Show a bucket that came with its account; `known` are the known_names() of it, where they were asked for."""
    found, lines = look.content or {}, actions.lines_of(look)
    choices = {one.key for one in actions.choices_of(lines)}
    state = "looking" if look.is_awaited else "failed" if look.error else "found" if found else "looking"
    return {
        "id": str(look.key),
        "cloud_account_id": str(look.cloud_account_id),
        "bucket": look.bucket,
        "name": look.name,
        "region": found["found"]["region"] if found else look.region,
        "log_bucket": look.log_bucket,
        "state": state,
        "error": look.error,
        "looked_at": shown.moment(look.read_at),
        "seen": agreed(lines) if found else "",
        "obstacle": actions.obstacle(look, by=by, known=known),
        "owner": found["owner"] if found else "",
        "tag_command": actions.tag_command(look) if found and not found["owner"] else "",
        "warnings": list(found["found"]["warnings"]) if found else [],
        "contents": ", ".join(Contents(**found["contents"]).counts) if found else "",
        "controls": [
            {
                "key": one.key,
                "label": one.label,
                "state": one.state,
                "found": one.words,
                "wanted": one.wanted_words,
                "can_be_set": one.key in choices,
            }
            for one in lines
        ],
        "repositories": [
            {"path": one["path"], "stanzas": one["stanzas"]} for one in (found["repositories"] if found else ())
        ],
        "is_whole": bool(found and found["is_whole"]),
    }


@reads(PATH, Permission.MANAGE_STORES, shapes.Page[ExistingBucket], asked=ListQuery)
def list_existing_buckets(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the buckets that are looked at, newest first."""
    rows = _looks(request.membership)
    known = known_names(rows.order_by().values_list("bucket", flat=True))
    return answered(page(rows, asked, lambda look: shown_look(look, request.membership, known)))


@creates(PATH, Permission.MANAGE_STORES, BucketsLookedAt)
@once
def look_at_existing_buckets(request: CallRequest, asked: BucketsToLookAt) -> HttpResponse:
    """Have buckets looked at, all of them or none; nothing is written to them."""
    wishes, wrong = Wishes(request.membership), list[tuple[str, str]]()
    accounts = {one.pk: one for one in CloudAccount.objects.visible_to(request.membership)}
    for number, one in enumerate(asked.items):
        given = one.dict()
        account = accounts.get(given.pop("cloud_account_id"))
        try:
            if account is None:
                raise ValidationError({"account": "There is no such linked account."})
            wishes.add(account, **given)
        except ValidationError as error:
            wrong += [
                (f"/items/{number}/{FIELDS.get(field, field)}", " ".join(said))
                for field, said in error.message_dict.items()
            ]
    if wrong:
        raise fields(wrong)
    try:
        looks = actions.look_at(wishes.found, by=request.membership)
    except actions.TooMany as error:
        raise Problem(409, str(error)) from error
    rows = {one.pk: one for one in _looks(request.membership).filter(pk__in=[one.pk for one in looks])}
    items = [shown_look(rows[one.pk], request.membership) for one in looks]
    return answered({"items": items}, status=202, location=f"/api/v1{PATH}")


@reads(f"{PATH}/{{uuid:pk}}", Permission.MANAGE_STORES, ExistingBucket)
def get_existing_bucket(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show what was found of one bucket."""
    return answered(shown_look(_look(request, pk), request.membership))


@creates(f"{PATH}/{{uuid:pk}}/look", Permission.MANAGE_STORES, ExistingBucket)
@once
def look_again_at_existing_bucket(request: CallRequest, pk: UUID) -> HttpResponse:
    """Have the bucket looked at again."""
    actions.look_again(_look(request, pk))
    return _accepted(request, pk)


@deletes(f"{PATH}/{{uuid:pk}}", Permission.MANAGE_STORES, ExistingBucket)
def forget_existing_bucket(request: CallRequest, pk: UUID) -> HttpResponse:
    """Think better of it; nothing was changed in the bucket."""
    answer = _accepted(request, pk)
    actions.drop(_look(request, pk))
    return answer


def _accepted(request: CallRequest, pk: UUID) -> HttpResponse:
    content = shown_look(_look(request, pk), request.membership)
    return answered(content, status=202, location=f"/api/v1{PATH}/{pk}")


@creates(f"{PATH}/{{uuid:pk}}/add", Permission.MANAGE_STORES, shapes.Store)
@once
def add_existing_bucket(request: CallRequest, pk: UUID, asked: Decided) -> HttpResponse:
    """Make the bucket a store; a worker does it, whose task is at Location."""
    look = _look(request, pk)
    if look.content and asked.seen != agreed(actions.lines_of(look)):
        raise Problem(409, CHANGED)
    try:
        decision, name = _decision(look, asked, request.membership)
        store = actions.bring(look, decision, name=name, by=request.membership)
    except Changed as error:
        raise Problem(409, CHANGED) from error
    except NameTaken as error:
        raise fields([("/name", NAME_TAKEN)]) from error
    except (LimitReached, NotNow) as error:
        raise Problem(409, str(error)) from error
    row = stores(request.membership).get(pk=store.pk)
    return answered(shown.store(row), status=202, location=f"/api/v1/tasks/{row.operation_id}")


def _decision(look: BucketLook, asked: Decided, membership: Membership) -> tuple[actions.Decision, str]:
    """Return what the page's form makes of it, and the store's name; raises Problem."""
    choices = {one.key for one in actions.choices_of(actions.lines_of(look))}
    if wrong := sorted(key for key in asked.controls if key not in choices):
        raise fields([(f"/controls/{key[:60]}", "There is no such control that could be set.") for key in wrong])
    given: dict[str, Any] = {"seen": asked.seen, "logs": asked.logs, "logs_into": asked.logs_into}
    given |= {"name": asked.name or look.name, **({"tag": "on"} if asked.tag else {})}
    given |= {f"control_{key}": SET if asked.controls.get(key) == SET else ACCEPT for key in choices}
    form = DecisionForm(given, look=look, membership=membership)
    if not form.is_valid():
        raise of_form(form)
    return form.decision(), form.cleaned_data["name"]
