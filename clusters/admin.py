"""Support's view of clusters: find any by ID, store or organisation, see why it failed, try it again."""

from __future__ import annotations

from django.contrib import admin

from clusters.models import (
    Attachment,
    BackupPolicy,
    Cluster,
    Database,
    Inventory,
    Node,
    RemovedNode,
    Repository,
    Stanza,
)
from console.accounts.admin import ReadOnlyAdmin
from console.operations.admin import SubjectAdmin

admin.site.register(
    [Attachment, BackupPolicy, Database, Inventory, Node, RemovedNode, Repository, Stanza], ReadOnlyAdmin
)


@admin.register(Cluster)
class ClusterAdmin(SubjectAdmin):
    list_display = ["name", "state", "organisation", "cloud_account", "created_at", "last_task"]
    list_filter = ["state", "organisation__edition"]
    search_fields = ["name", "id", "organisation__name", "cloud_account__number", "stores__name"]
