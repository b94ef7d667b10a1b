"""What support staff see of alerts: never a secret, and nothing to change."""

from __future__ import annotations

from django.contrib import admin

from console.alerts.models import Alert, Channel, Delivery
from console.web.admin import ReadOnlyAdmin


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["title", "organisation", "severity", "created_at", "closed_at", "told_at"]
    list_filter = ["severity", "rule"]
    search_fields = ["title", "id", "subject_id", "organisation__name"]
    list_select_related = ["organisation"]


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "kind", "shown", "confirmed_at", "disabled_at", "failing_since"]
    list_filter = ["kind"]
    search_fields = ["name", "id", "shown", "organisation__name"]
    list_select_related = ["organisation"]
    exclude = ["token_sha256"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["subject", "organisation", "channel", "state", "tries", "status", "created_at"]
    list_filter = ["state"]
    search_fields = ["subject", "id", "organisation__name"]
    list_select_related = ["organisation", "channel"]
