"""Audit: who did what, when, from where; filtered, page by page, and as a file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from console.accounts import activity
from console.accounts.access import MemberRequest, require_permission
from console.accounts.models import Membership, OwnedQuerySet
from console.accounts.permissions import Permission
from console.audit.models import AuditEvent, AuditEventQuerySet
from console.web.pages import file_download, fragment_or_page, paginate

PAGE_SIZE = 50
# What a spreadsheet may take for a formula: at the start of a cell, and behind whatever may separate cells or rows for
# it, whose delimiter goes by the reader's country and not by the file; also behind quotes, which it takes away.
FORMULA = re.compile(r"""((?:^|[;|\t\v\f\r\n\x1c-\x1e\x85\u2028\u2029])[\s"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])""")
DATE = forms.DateInput(attrs={"type": "date"})


class FilterForm(forms.Form):
    """What the page shows; nothing given means everything."""

    who = forms.CharField(
        label=gettext_lazy("User"),
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "audit-people"}),
    )
    action = forms.CharField(
        label=gettext_lazy("Action"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "audit-actions"}),
    )
    subject = forms.CharField(
        label=gettext_lazy("Object"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": gettext_lazy("ID or name")}),
    )
    outcome = forms.ChoiceField(
        label=gettext_lazy("Outcome"), choices=[("", gettext_lazy("Any")), *AuditEvent.Outcome.choices], required=False
    )
    since = forms.DateField(label=gettext_lazy("From (UTC)"), required=False, widget=DATE)
    until = forms.DateField(label=gettext_lazy("To (UTC)"), required=False, widget=DATE)

    def found(self, events: AuditEventQuerySet) -> AuditEventQuerySet:
        """Return those of the events that were asked for."""
        given = self.cleaned_data
        for field, value in (
            ("actor_name", "" if given["who"] == THE_CONSOLE else given["who"]),
            ("action", given["action"]),
            ("outcome", given["outcome"]),
        ):
            if value:
                events = events.filter(**{field: value})
        if given["who"] == THE_CONSOLE:
            events = events.filter(actor_name="")
        if given["since"]:
            events = events.filter(created_at__gte=datetime.combine(given["since"], time.min, UTC))
        if given["until"]:
            end = datetime.combine(given["until"], time.min, UTC)
            # The last day that there is has no day after it.
            events = events.filter(created_at__lt=end + timedelta(days=1)) if given["until"] < LAST_DAY else events
        return events.search(given["subject"])


THE_CONSOLE = "the console"
LATELY = 1000  # of so many newest events the filters offer the people and the actions
LAST_DAY = datetime.max.date()


def _form(request: MemberRequest) -> FilterForm:
    return FilterForm(request.GET)


@require_GET
@require_permission(Permission.SEE_AUDIT)
def audit_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's audit events, newest first."""
    form, events = _form(request), AuditEvent.objects.visible_to(request.membership)
    valid = form.is_valid()
    page = paginate(request, form.found(events) if valid else events.none(), size=PAGE_SIZE)
    links = _links(request, page.items)
    lately = [*events.order_by("-created_at", "-pk").values_list("actor_name", "action")[:LATELY]]
    context = {
        "form": form,
        "people": sorted({who or THE_CONSOLE for who, _ in lately}),
        "actions": sorted({action for _, action in lately}),
        "page": page,
        "rows": [(event, _kind(event), links.get((event.subject_kind, event.subject_id), "")) for event in page.items],
        "filtered": any(request.GET.get(name) for name in form.fields),
        "query": request.GET.urlencode(),
    }
    return fragment_or_page(request, "audit/list.html", "events", context, status=200 if valid else 422)


@require_GET
@require_permission(Permission.SEE_AUDIT)
@file_download
def audit_csv(request: MemberRequest) -> HttpResponseBase:
    """Hand out the filtered events as a file, row by row; who takes the log away is in the log."""
    form = _form(request)
    if not form.is_valid():
        return HttpResponse("\n".join(map(str, form.errors.values())), status=422, content_type="text/plain")
    return exported(form, request.membership)


def exported(form: FilterForm, membership: Membership) -> StreamingHttpResponse:
    """Return the events that a valid form asks for as a file, and note who takes them away."""
    given = {name: str(value) for name, value in form.cleaned_data.items() if value}
    organisation, by = membership.organisation, membership.person
    activity.record("Downloaded audit events", "", organisation=organisation, by=by, after={"filter": given})
    events = form.found(AuditEvent.objects.visible_to(membership)).order_by("-created_at", "-pk")
    rows = StreamingHttpResponse(_csv(events.iterator(chunk_size=2000)), content_type="text/csv; charset=utf-8")
    rows["Content-Disposition"] = f'attachment; filename="audit-{timezone.now():%Y-%m-%d}.csv"'
    return rows


class Line:
    """What csv writes into, to take each line out again."""

    def write(self, line: str) -> str:
        return line


def _csv(events: Iterable[AuditEvent]) -> Iterator[str]:
    writer: Any = csv.writer(Line())
    titles: list[str] = []
    for event in events:
        row = event.as_json()
        if not titles:
            titles = list(row)
            yield writer.writerow(titles)
        yield writer.writerow(safe(value) for value in row.values())
    if not titles:
        yield writer.writerow(AuditEvent().as_json())


def safe(value: object) -> str:
    """Return the value as the text of a cell that no spreadsheet takes for a formula."""
    text = json.dumps(value, default=str) if isinstance(value, dict) else str(value)
    return FORMULA.sub(r"\1'\2", f"'{text}" if text.startswith(("\t", "\r", "\n")) else text)


def _kind(event: AuditEvent) -> str:
    try:
        return str(apps.get_model(event.subject_kind)._meta.verbose_name)
    except (LookupError, ValueError):  # of a release that had it
        return ""


def _links(request: MemberRequest, events: Iterable[AuditEvent]) -> dict[tuple[str, str], str]:
    """Return the pages that the member may open of subjects that still exist: one query for each kind of them."""
    ids: dict[str, set[str]] = {}
    for event in events:
        if event.subject_id and _kind(event):
            ids.setdefault(event.subject_kind, set()).add(event.subject_id)
    return {
        (kind, str(row.pk)): row.get_absolute_url()
        for kind, keys in ids.items()
        if hasattr(model := apps.get_model(kind), "get_absolute_url")
        and request.membership.may[getattr(model, "SEEN_BY", Permission.SEE_STORES)]
        and isinstance(rows := model._default_manager.all(), OwnedQuerySet)
        for row in rows.visible_to(request.membership).filter(pk__in=keys)
    }
