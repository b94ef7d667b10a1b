"""The audit log: who did what, and when. The database refuses to change or delete an event."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.activity import Outcome
from console.accounts.models import Organisation, OwnedQuerySet, User


class AuditEventQuerySet(OwnedQuerySet):
    def search(self, text: str) -> Self:
        """Return the events of the subject that has this ID, or of those whose names begin so."""
        try:
            return self.filter(subject_id=str(UUID(text)))
        except ValueError:
            return self.filter(Q(subject_id=text) | Q(subject__istartswith=text)) if text else self


class AuditEvent(models.Model):
    """Who did what, and when; the database refuses to change or delete one. Made by activity.record().

    People, organisations and subjects are named by copies and by IDs that may outlive them: a deletion elsewhere must
    change no row here.
    """

    Outcome = Outcome

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Null: of the console as a whole, such as a sign-in.
    organisation = models.ForeignKey(
        Organisation, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    actor_name = models.CharField(gettext_lazy("who"), max_length=150)
    action = models.CharField(gettext_lazy("what"), max_length=100)
    subject = models.CharField(gettext_lazy("of what"), max_length=200)
    subject_kind = models.CharField(gettext_lazy("kind"), max_length=50, blank=True)
    subject_id = models.CharField(gettext_lazy("ID"), max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.CharField(gettext_lazy("from where"), max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    token = models.CharField(
        gettext_lazy("API token"), max_length=100, null=True
    )  # null: none, or before that was kept
    created_at = models.DateTimeField(gettext_lazy("when"), default=timezone.now, editable=False)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes = [
            # Each filter of the page has one that ends as the page is sorted.
            models.Index(fields=["organisation", "-created_at", "-id"], name="audit_page_by_page"),
            models.Index(fields=["organisation", "actor_name", "-created_at", "-id"], name="audit_of_a_person"),
            models.Index(fields=["organisation", "action", "-created_at", "-id"], name="audit_of_an_action"),
            models.Index(fields=["organisation", "outcome", "-created_at", "-id"], name="audit_of_an_outcome"),
            models.Index(fields=["organisation", "subject_id", "-created_at", "-id"], name="audit_of_a_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action}: {self.subject}"

    def as_json(self) -> dict[str, Any]:
        """Return the event as the log and the download have it."""
        return {
            "event_id": str(self.pk),
            "when": self.created_at.isoformat(),
            "organisation_id": str(self.organisation_id or ""),
            "who_id": str(self.actor_id or ""),
            "who": self.actor_name,
            "what": self.action,
            "kind": self.subject_kind,
            "id": self.subject_id,
            "name": self.subject,
            "outcome": self.outcome,
            "address": self.address,
            "request_id": self.request_id,
            "token": self.token or "",
            "before": self.before,
            "after": self.after,
        }
