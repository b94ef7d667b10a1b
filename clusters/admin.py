"""Support's view of clusters: find any by ID, store or organisation, see why it failed, try it again."""

from __future__ import annotations

from django.contrib import admin

from clusters.models import Attachment, Cluster, Database, Node, Repository
from console.accounts.admin import ReadOnlyAdmin

admin.site.register([Attachment, Database, Node, Repository], ReadOnlyAdmin)


@admin.register(Cluster)
class ClusterAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "organisation", "cloud_account", "created_at"]
    list_filter = ["state", "organisation__edition"]
    search_fields = ["name", "id", "organisation__name", "cloud_account__number", "stores__name"]
    list_select_related = ["organisation", "cloud_account", "operation"]
