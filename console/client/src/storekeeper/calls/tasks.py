"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import OMIT, Core, File, Omit
from .shapes import (
    Task,
)


class TasksCalls(Core):
    """The calls of tasks."""

    def list_tasks(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
        state: str | Omit = OMIT,
        subject_kind: str | Omit = OMIT,
        subject_id: str | None | Omit = OMIT,
    ) -> Iterator[Task]:
        """List the tasks, newest first; those of a row that is deleted, too.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        state: waiting, running, done, failed, refused or cancelled.
        subject_kind: store or cluster.
        """
        return self.rows("list_tasks", {"limit": limit, "cursor": cursor, "q": q, "state": state, "subject_kind": subject_kind, "subject_id": subject_id})

    def get_task(
        self,
        pk: str,
        *,
        wait: int | Omit = OMIT,
    ) -> Task:
        """Show one task; with ?wait= as soon as it has ended, or when so many seconds are over.

        wait: Seconds to wait for the end.
        """
        found: Task = self.row("get_task", {"pk": pk, "wait": wait})
        return found

    def follow_task(
        self,
        pk: str,
    ) -> File:
        """Tell of each change of a task as it comes, as server-sent events, until it has ended, or five minutes are
        over. The data of each event is the task. Who comes again with Last-Event-ID is told what is new; 204 says
        that all is told. Where too many are told already, the answer ends after the first event, and the client
        comes again.
        """
        return self.file("follow_task", {"pk": pk})
