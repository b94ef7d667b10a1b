"""Support's view of clusters: find any by ID, role, node, stanza or organisation, see why it failed, try it again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from clusters.models import (
    Attachment,
    BackupPolicy,
    Cluster,
    Database,
    Enrolment,
    EnrolmentPlace,
    Inventory,
    KnownStanza,
    Node,
    RecoveryIdentity,
    RemovedNode,
    Repository,
    Stanza,
)
from console.operations.admin import ManagedResourceAdmin
from console.web.admin import ReadOnlyAdmin

admin.site.register(
    [Attachment, BackupPolicy, Enrolment, EnrolmentPlace, Inventory, RecoveryIdentity, Repository], ReadOnlyAdmin
)


@admin.register(Cluster)
class ClusterAdmin(ManagedResourceAdmin):
    list_display = ["name", "verdict_words", "cloud_words", "organisation", "cloud_account", "created_at", "last_task"]
    list_filter = ["state", "organisation__edition"]
    search_fields = ["name", "id", "organisation__name", "cloud_account__number", "stores__name"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return also the cluster whose nodes' role, or folder in a store, has the name."""
        if end := Cluster.id_end(search_term):
            return queryset.filter(id__iendswith=end), False
        return super().get_search_results(request, queryset, search_term)


class PartAdmin(ReadOnlyAdmin):
    """What a cluster has several of, found by its own name or the cluster's."""

    list_display = ["name", "cluster"]
    search_fields = ["name", "cluster__name", "cluster__id"]
    list_select_related = ["cluster__organisation"]


admin.site.register([Database, Node, RemovedNode], PartAdmin)


@admin.register(KnownStanza)
class KnownStanzaAdmin(ReadOnlyAdmin):
    list_display = ["name", "node", "repository", "lost_since", "seen_at", "backup_at"]
    search_fields = ["name", "node", "repository__cluster_name", "repository__prefix"]
    list_select_related = ["repository__store", "repository__cluster"]


@admin.register(Stanza)
class StanzaAdmin(ReadOnlyAdmin):
    list_display = ["database", "node", "system_id", "cluster", "reported_at"]
    search_fields = ["database__name", "node__name", "system_id", "cluster__name"]
    list_select_related = ["database", "node__cluster", "cluster__organisation"]
