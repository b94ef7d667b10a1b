"""Whom alerts are told: channels, their messages, maintenance windows, the dead man's switch."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.alerts import actions, conditions
from console.alerts.forms import FORMS, ChannelForm, DeadmanForm, RepeatForm, WindowForm, tells_of
from console.alerts.models import AlertSettings, Channel, Delivery, MaintenanceWindow
from console.web.pages import announced, dialog_done, dialog_form, fragment_or_page, paginate, posted

CHANGED = "alert-settings-changed"
PAGE_SIZE = 50
TESTED = timedelta(minutes=2)  # for which the page looks for a test's answer
SHOWN = 20  # maintenance windows
TOLD = {"name", "at_least", "rules", "events"}  # of the form: what a channel is called, and what it is told of


@require_GET
@require_permission(Permission.SEE_STORES)
def settings_page(request: MemberRequest) -> HttpResponse:
    """Show the channels, the windows that are on or to come, and the dead man's switch."""
    tests = Delivery.objects.filter(channel=OuterRef("pk"), kind="test").order_by("-created_at").values("pk")[:1]
    channels = list(Channel.objects.visible_to(request.membership).annotate(tested=Subquery(tests)))
    known = Delivery.objects.in_bulk([one.tested for one in channels if one.tested])
    labels = dict(conditions.rule_choices())
    lately = timezone.now() - TESTED
    windows = MaintenanceWindow.objects.visible_to(request.membership).filter(ends_at__gt=timezone.now())
    mine = AlertSettings.objects.visible_to(request.membership).first()
    context = {
        "channels": [
            (one, known.get(one.tested), ", ".join(str(labels.get(rule, rule)) for rule in one.rules))
            for one in channels
        ],
        "windows": windows.order_by("starts_at", "pk")[:SHOWN],
        "mine": mine or AlertSettings(),
        "kinds": Channel.Kind.choices,
        "busy": any(one.state == "waiting" and one.created_at > lately for one in known.values()),
    }
    return fragment_or_page(request, "alerts/settings.html", "settings", context)


@sensitive_post_parameters("url", "key", "token", "address")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def channel_create(request: MemberRequest, kind: str) -> HttpResponse:
    """Add a channel of that kind; a webhook's secret is shown this one time."""
    if kind not in FORMS:
        raise Http404
    form = FORMS[kind](posted(request), initial={"name": Channel.Kind(kind).label})
    context = {"form": form, "kind": kind, "label": Channel.Kind(kind).label}
    if form.is_bound and form.is_valid() and (channel := _add(request, form)):
        return _added(request, channel)
    return dialog_form(request, "alerts/channel_create.html", context)


def _add(request: MemberRequest, form: ChannelForm) -> Channel | None:
    given = {name: value for name, value in form.cleaned_data.items() if name in TOLD}
    try:
        organisation = request.membership.organisation
        return actions.add_channel(organisation, kind=form.kind, values=form.values, **given, by=request.user)
    except actions.Refused as refusal:
        form.add_error(refusal.field or None, str(refusal))
        return None


def _added(request: MemberRequest, channel: Channel) -> HttpResponse:
    """Show what is shown once of a new channel, or close the dialog."""
    if channel.kind == Channel.Kind.WEBHOOK:
        return _secret(request, channel, str(channel.secrets["secret"]))
    message = gettext("{channel} is added. Send a test to see that it arrives.").format(channel=channel.name)
    if channel.kind == Channel.Kind.EMAIL:
        message = _sent(request, channel)
    return dialog_done(request, reverse("alerts:settings"), CHANGED, message=message)


def _sent(request: MemberRequest, channel: Channel) -> str:
    return actions.send_confirmation(
        channel, lambda token: request.build_absolute_uri(reverse("alerts:confirm", args=[token]))
    )


def _secret(request: MemberRequest, channel: Channel, secret: str) -> HttpResponse:
    context = {"channel": channel, "secret": secret}
    response = fragment_or_page(request, "alerts/channel_secret.html", "dialog", context)
    response["HX-Trigger"] = CHANGED
    return response


def _channel(request: MemberRequest, pk: UUID) -> Channel:
    rows = Channel.objects.visible_to(request.membership).select_related("organisation")
    channel: Channel = get_object_or_404(rows, pk=pk)
    return channel


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def channel_edit(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Choose what the channel tells of, and its name; where it leads stays as it is."""
    channel = _channel(request, pk)
    now = {"name": channel.name, "at_least": channel.at_least, "rules": channel.rules, "events": channel.news}
    form = tells_of(channel.kind)(posted(request), initial=now)
    if form.is_bound and form.is_valid():
        try:
            actions.change_channel(channel, **form.cleaned_data, by=request.user)
        except actions.Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            return dialog_done(request, reverse("alerts:settings"), CHANGED, message=gettext("The channel is changed."))
    return dialog_form(request, "alerts/channel_edit.html", {"form": form, "channel": channel})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def channel_delete(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Delete a channel."""
    channel = _channel(request, pk)
    if request.method == "POST":
        actions.delete_channel(channel, by=request.user)
        return dialog_done(
            request,
            reverse("alerts:settings"),
            CHANGED,
            message=gettext("{channel} is deleted.").format(channel=channel.name),
        )
    return dialog_form(request, "alerts/channel_delete.html", {"channel": channel})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def channel_secret(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Replace a webhook's secret, and show the new one, this one time."""
    channel = _channel(request, pk)
    if channel.kind != Channel.Kind.WEBHOOK:
        raise Http404
    if request.method == "POST":
        return _secret(request, channel, actions.replace_secret(channel, by=request.user))
    return dialog_form(request, "alerts/channel_replace.html", {"channel": channel})


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def channel_switch(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Turn a channel on or off."""
    channel, on = _channel(request, pk), request.POST.get("on") == "1"
    actions.switch_channel(channel, on=on, by=request.user)
    message = (gettext("{channel} is on.") if on else gettext("{channel} is off.")).format(channel=channel.name)
    return announced(request, reverse("alerts:settings"), CHANGED, message=message)


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def channel_test(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Send a test; the page shows the answer when there is one."""
    channel = _channel(request, pk)
    try:
        actions.test_channel(channel, by=request.user)
        message = gettext("A test is on its way to {channel}.").format(channel=channel.name)
    except actions.Refused as refusal:
        message = str(refusal)
    return announced(request, reverse("alerts:settings"), CHANGED, message=message)


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def channel_link(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Send the link again that confirms an e-mail address."""
    channel = _channel(request, pk)
    if channel.kind != Channel.Kind.EMAIL or channel.confirmed_at:
        raise Http404
    return announced(request, reverse("alerts:settings"), CHANGED, message=_sent(request, channel))


@never_cache
@require_http_methods(["GET", "POST"])
def channel_confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whoever reads the mail of an address whether they want alerts there; on their yes, they get them."""
    channel = actions.find_channel(token)
    if channel is None:
        return render(request, "alerts/confirm.html", status=404)
    if request.method == "POST":
        actions.confirm(channel)
    return render(request, "alerts/confirm.html", {"channel": channel, "done": request.method == "POST"})


@require_GET
@require_permission(Permission.SEE_STORES)
def delivery_list(request: MemberRequest) -> HttpResponse:
    """Show what was sent, newest first, page by page."""
    rows = Delivery.objects.visible_to(request.membership).select_related("channel").defer("channel__secrets")
    chosen = _chosen(request)
    page = paginate(request, rows.filter(channel=chosen) if chosen else rows, size=PAGE_SIZE)
    channels = Channel.objects.visible_to(request.membership).only("id", "name")
    context = {"page": page, "channels": channels, "chosen": chosen}
    return fragment_or_page(request, "alerts/deliveries.html", "deliveries", context)


def _chosen(request: MemberRequest) -> UUID | None:
    try:
        return UUID(request.GET.get("channel", ""))
    except ValueError:
        return None


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def window_create(request: MemberRequest) -> HttpResponse:
    """Plan a maintenance window."""
    now = timezone.now()
    initial = {"starts_at": now, "ends_at": now + timedelta(hours=2)}
    form = WindowForm(posted(request), organisation=request.membership.organisation_id, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            actions.add_window(request.membership.organisation, **form.cleaned_data, by=request.user)
        except actions.Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            message = gettext("The maintenance window is planned.")
            return dialog_done(request, reverse("alerts:settings"), CHANGED, message=message)
    return dialog_form(request, "alerts/window_create.html", {"form": form})


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def window_end(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End a maintenance window now."""
    rows = MaintenanceWindow.objects.visible_to(request.membership).select_related("organisation")
    try:
        actions.end_window(get_object_or_404(rows, pk=pk), by=request.user)
        message = gettext("The maintenance window is over. What is still open is told now.")
    except actions.Refused as refusal:
        message = str(refusal)
    return announced(request, reverse("alerts:settings"), CHANGED, message=message)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def repeat(request: MemberRequest) -> HttpResponse:
    """Choose after how many hours an open alert is told again."""
    organisation = request.membership.organisation
    form = RepeatForm(posted(request), initial={"hours": AlertSettings.of(organisation).repeat_hours})
    if form.is_bound and form.is_valid():
        actions.change_repeat(organisation, hours=form.cleaned_data["hours"], by=request.user)
        return dialog_done(request, reverse("alerts:settings"), CHANGED, message=gettext("It is changed."))
    return dialog_form(request, "alerts/repeat.html", {"form": form})


@sensitive_post_parameters("url")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def deadman(request: MemberRequest) -> HttpResponse:
    """Set the address that is asked while the console works, or take it away."""
    organisation = request.membership.organisation
    mine = AlertSettings.objects.filter(organisation=organisation).first() or AlertSettings()
    form = DeadmanForm(posted(request), initial={"minutes": mine.deadman_minutes})
    if form.is_bound and form.is_valid():
        actions.set_deadman(organisation, **form.cleaned_data, by=request.user)
        message = (
            gettext("It is asked within a minute.")
            if form.cleaned_data["url"]
            else gettext("The dead man's switch is gone.")
        )
        return dialog_done(request, reverse("alerts:settings"), CHANGED, message=message)
    return dialog_form(request, "alerts/deadman.html", {"form": form, "mine": mine})
