"""Support's view of linked accounts. Never a secret, never a link edited by hand."""

from __future__ import annotations

from django.contrib import admin

from console.cloud_accounts.models import CloudAccount, Preflight
from console.web.admin import ReadOnlyAdmin

admin.site.register([Preflight], ReadOnlyAdmin)


@admin.register(CloudAccount)
class CloudAccountAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "provider_key", "number", "verified_at", "created_at"]
    list_filter = ["provider_key"]
    search_fields = ["name", "id", "number", "settings", "organisation__name"]
    list_select_related = ["organisation"]
    fields = [
        "id",
        "name",
        "organisation",
        "provider_key",
        "number",
        "partition",
        "settings",
        "key_since",
        "verified_at",
        "proofs",
        "verify_error",
        "created_at",
    ]
