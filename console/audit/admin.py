"""Support's view of the audit log."""

from __future__ import annotations

from django.contrib import admin

from console.audit.models import AuditEvent
from console.web.admin import ReadOnlyAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organisation", "actor_name", "action", "subject", "outcome", "request_id"]
    list_filter = ["action", "created_at"]
    search_fields = ["actor_name", "subject", "organisation__name", "id", "request_id"]
    list_select_related = ["organisation"]
