"""How a task ended, in the one line that takes the place of the message which said that it began."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext

from console.accounts.models import Membership
from console.accounts.permissions import ROLES
from console.operations import registry
from console.operations.models import Operation

State = Operation.State
LEVELS = {State.DONE: "success", State.FAILED: "error", State.REFUSED: "warning", State.CANCELLED: "warning"}


def address(operation: Operation | None) -> str:
    """Return the address that tells a message how the task ended; nothing where there is no task."""
    return reverse("tasks:outcome", args=[operation.pk]) if operation else ""


def text(operation: Operation) -> str:
    """Return how the task ended, such as "orders-london is created."; nothing while it has not."""
    if operation.is_unfinished:
        return ""
    what, name = operation.title, operation.subject_name
    if operation.state == State.DONE:
        known = registry.knows(operation.subject_kind, operation.verb)  # an older release may have had other verbs
        ended = registry.find(operation.subject_kind, operation.verb).ended if known else ""
        return f"{name} {ended}." if ended else gettext("{what}: {name} is done.").format(what=what, name=name)
    if operation.state == State.CANCELLED:
        return gettext("{what}: {name} was cancelled.").format(what=what, name=name)
    return f"{what}: {name} {'failed' if operation.state == State.FAILED else 'was refused'}. {operation.error}"


def links(operation: Operation, membership: Membership) -> list[tuple[str, str]]:
    """Return where the member goes from here, words and addresses: to what comes next, and to the task."""
    to_task = (gettext("View task"), operation.get_absolute_url())
    if operation.state != State.DONE or not registry.knows(operation.subject_kind, operation.verb):
        return [to_task]
    work = registry.find(operation.subject_kind, operation.verb)
    if work.following is None or work.following.permission not in ROLES[membership.role]:
        return [to_task]
    subject = work.model._default_manager.visible_to(membership).filter(pk=operation.subject_id).first()
    return [(work.following.words, work.following.address(subject)), to_task] if subject else [to_task]


def level(operation: Operation) -> str:
    """Return the colour of that line; nothing while the task has not ended."""
    return LEVELS.get(State(operation.state), "")
