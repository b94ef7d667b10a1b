"""What of cloud accounts is told as alerts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from django.db.models import F
from django.utils import timezone

from console.alerts import conditions
from console.alerts.conditions import Condition, Organisations, Rule, Severity
from console.alerts.upkeep import near, of
from console.cloud_accounts.models import CallsOfDay, CloudAccount, LookBudget


def unverified(organisations: Organisations) -> Iterable[Condition]:
    """Yield the accounts that failed when they were last verified, or have not proved themselves."""
    for one in CloudAccount.objects.filter(**of(organisations)):
        why = one.verify_error or one.unproven
        if why:
            yield Condition(
                organisation=one.organisation_id,
                key=f"account:{one.pk}",
                rule="account",
                severity=Severity.CRITICAL,
                title=f"The account {one.name} is not verified any more",
                words=why,
                advice="Nothing can be done in it until it is. Correct it, then press Verify now.",
                url=one.get_absolute_url(),
                subject_kind="cloud_accounts.cloudaccount",
                subject_id=str(one.pk),
            )


def weakened(organisations: Organisations) -> Iterable[Condition]:
    """Yield the servers that were lately found to do no more all that stores need."""
    for one in CloudAccount.objects.filter(**of(organisations), changes__isnull=False):
        if lost := one.recent_changes.get("lost"):
            yield Condition(
                organisation=one.organisation_id,
                key=f"server:{one.pk}:{one.recent_changes['at']:%Y%m%d%H%M%S}",
                rule="server",
                severity=Severity.WARNING,
                title=f"{one.name} does less than it did",
                words=f"It does not do any more what stores need: {', '.join(lost)}.",
                advice="Find out what was changed on it, correct that, then press Verify now.",
                url=one.get_absolute_url(),
                subject_kind="cloud_accounts.cloudaccount",
                subject_id=str(one.pk),
            )


def old_keys(organisations: Organisations) -> Iterable[Condition]:
    """Yield the accounts whose key should be replaced by now."""
    for one in CloudAccount.objects.filter(**of(organisations)):
        if one.key_is_old:
            yield Condition(
                organisation=one.organisation_id,
                key=f"old-key:{one.pk}",
                rule="key",
                severity=Severity.WARNING,
                title=f"The key of the account {one.name} is old",
                words=f"The console has it since {one.key_given_at:%Y-%m-%d}.",
                advice=f"Replace it: a key should be no older than {CloudAccount.KEY_IS_OLD.days} days.",
                url=one.get_absolute_url(),
                subject_kind="cloud_accounts.cloudaccount",
                subject_id=str(one.pk),
            )


def spent_budgets(organisations: Organisations) -> Iterable[Condition]:
    """Yield the accounts whose calls of today are nearly used up."""
    usual = LookBudget()
    rows = CallsOfDay.objects.filter(**of(organisations, "cloud_account__organisation__in"))
    today = rows.filter(day=timezone.now().astimezone(UTC).date()).annotate(used=F("lists") + F("reads"))
    for one in today.select_related("cloud_account__look_budget"):
        account = one.cloud_account
        budget = getattr(account, "look_budget", None) or usual
        used = one.used  # type: ignore[attr-defined]
        if found := near(
            f"calls:{account.pk}",
            used,
            budget.calls_a_day,
            account.organisation_id,
            name=f"calls of today in {account.name}",
            url=account.get_absolute_url(),
        ):
            yield found


conditions.register(Rule("account", "An account is not verified any more", unverified))
conditions.register(Rule("server", "A server does less than it did", weakened))
conditions.extend("key", "A key or signature is about to end", old_keys)
conditions.extend("limit", "A limit is near", spent_budgets)
