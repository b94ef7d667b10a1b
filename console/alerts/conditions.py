"""What may hold that somebody must know of: the rules that find it, registered by the apps. Knows no table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy

from console.web.retold import retold

log = logging.getLogger(__name__)

KEY = 200  # characters

Organisations = Collection[UUID] | None  # None: all


class Severity(TextChoices):
    """How soon somebody must look; the worst first."""

    CRITICAL = "critical", gettext_lazy("Critical")
    WARNING = "warning", gettext_lazy("Warning")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that holds now; `key` is the same as long as it does, whatever its words say."""

    organisation: UUID
    key: str  # stable for a rule and what it is about; with the subject's ID, since names are given again
    rule: str
    title: str  # one line
    words: str = ""  # why, in a sentence or two
    advice: str = ""  # what to do
    severity: str = Severity.WARNING
    level: int = 0  # within the severity: more is worse
    url: str = ""  # the page, as a path
    subject_kind: str = ""  # as the audit log has it, such as "stores.store"
    subject_id: str = ""
    cluster: UUID | None = None
    cluster_name: str = ""
    # Conditions that one message may tell of together, such as those of one store: PagerDuty and the like have one
    # incident for each. "": the key.
    group: str = ""

    @property
    def kept_key(self) -> str:
        """Return the key as it is kept: one that is too long ends in its digest."""
        if len(self.key) <= KEY:
            return self.key
        return f"{self.key[: KEY - 65]}:{sha256(self.key.encode()).hexdigest()}"

    @property
    def weight(self) -> int:
        """Return how bad it is: more is worse."""
        return 10 * (2 if self.severity == Severity.CRITICAL else 1) + self.level


@dataclass(frozen=True)
class Rule:
    """A kind of condition; `find` yields those that hold now, in few queries whatever number of organisations."""

    key: str
    label: str
    find: Callable[[Organisations], Iterable[Condition]]


_rules: dict[str, Rule] = {}
# Names the clusters of an organisation, by ID; the app of clusters tells how.
cluster_names: list[Callable[[UUID], dict[UUID, str]]] = []


def register(*rules: Rule) -> None:
    """Make rules known."""
    _rules.update({rule.key: rule for rule in rules})


def extend(key: str, label: str, find: Callable[[Organisations], Iterable[Condition]]) -> None:
    """Have a rule find something more: some kinds of conditions are found by several apps."""
    known = _rules.get(key)
    before = known.find if known else None

    def all_of_them(organisations: Organisations) -> Iterable[Condition]:
        if before:
            yield from before(organisations)
        yield from find(organisations)

    _rules[key] = Rule(key, label, all_of_them)


def rules() -> dict[str, Rule]:
    """Return all rules, by key."""
    return dict(_rules)


def rule_choices() -> list[tuple[str, str]]:
    """Return the rules for forms: key and label in the reader's language, by label."""
    return sorted(((rule.key, retold(rule.label)) for rule in _rules.values()), key=lambda one: one[1])


@dataclass
class Found:
    """What holds now, by organisation and key; and which rules could not be asked."""

    conditions: dict[tuple[UUID, str], Condition]
    failed: frozenset[str]


def find(organisations: Organisations = None) -> Found:
    """Ask all rules. One that fails is logged, and of what it has found before nothing is known to be over."""
    conditions: dict[tuple[UUID, str], Condition] = {}
    failed = set()
    for rule in _rules.values():
        try:
            for one in rule.find(organisations):
                conditions.setdefault((one.organisation, one.kept_key), one)
        except Exception:
            log.exception("The alert rule %s failed.", rule.key)
            failed.add(rule.key)
    return Found(conditions, frozenset(failed))


def clusters_of(organisation: UUID) -> dict[UUID, str]:
    """Return the names of the organisation's clusters, by ID, as they are sorted for people."""
    found = {pk: name for names in cluster_names for pk, name in names(organisation).items()}
    return dict(sorted(found.items(), key=lambda one: one[1].lower()))
