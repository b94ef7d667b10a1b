"""Server-sent events of a task: each change of it as it comes, until it has ended.

The view answers with the task as it is, and with a header that this server takes away again (console.rsgi): then the
answer goes on, without a thread of its own. All that are followed in a process are looked at together, once a second,
in two queries. A server other than console.rsgi ends the answer there; a client then comes again by itself, with
Last-Event-ID, which is how the protocol has it ("Server-sent events", HTML Living Standard).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from console.web import database

if TYPE_CHECKING:  # the server imports this before there are models
    from console.operations.models import Operation

log = logging.getLogger(__name__)

FOLLOW = "X-Storekeeper-Follow"  # from the view to the server: task, token, ID of the last event
SECONDS = 300.0  # that one answer lasts
BEAT = 15.0  # seconds between two signs of life: what stands between closes what is silent
EACH = 1.0  # seconds between two looks
AT_MOST, OF_ONE = 200, 10  # that are followed in a process, and of one token
AGAIN = 3000  # milliseconds after which a client comes again
ALIVE = b": still at it\n\n"

Found = dict[UUID, tuple[str, bytes, bool]]  # by task: ID of the event, the event, whether the task has ended


def event(row: Operation) -> tuple[str, bytes, bool]:
    """Return the ID of the event that says how the task is, the event, and whether it is the last one.

    The ID changes with what is shown alone: a lease that is renewed is no news.
    """
    from console.api import shown  # noqa: PLC0415

    content = shown.task(row)
    known = {name: value for name, value in content.items() if name != "updated_at"}
    key = sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    text = f"id: {key}\nevent: task\nretry: {AGAIN}\ndata: {json.dumps(content)}\n\n"
    return key, text.encode(), not row.is_unfinished


def look(tasks: set[UUID], tokens: set[UUID]) -> tuple[Found, set[UUID]]:
    """Return how these tasks are, and which of these tokens are still good; without a connection afterwards."""
    from console.api.models import Token  # noqa: PLC0415
    from console.operations.models import Operation  # noqa: PLC0415

    try:
        rows = Operation.objects.filter(pk__in=tasks).select_related("requested_by")
        found = {row.pk: event(row) for row in rows}
        return found, set(Token.objects.good().filter(pk__in=tokens).values_list("pk", flat=True))
    finally:
        database.give_back()


@dataclass(eq=False)
class Follower:
    """An answer that goes on: whose, of which task, and what was sent last."""

    task: UUID
    token: UUID
    last: str
    is_over: bool = False


class Followers:
    """All answers of this process that go on."""

    def __init__(self, look: Callable[[set[UUID], set[UUID]], tuple[Found, set[UUID]]] = look) -> None:
        self.look = look
        self.there: set[Follower] = set()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="follow")
        self.news = asyncio.Condition()
        self.found: Found = {}
        self.looking: asyncio.Task[None] | None = None

    def admit(self, told: str) -> Follower | None:
        """Return a follower of what the view has told; None where too many are there: then the answer ends."""
        task, token, last = told.split(" ")
        held = Counter(one.token for one in self.there)
        if len(self.there) >= AT_MOST or held[UUID(token)] >= OF_ONE:
            return None
        return Follower(UUID(task), UUID(token), last)

    async def events(self, mine: Follower) -> AsyncGenerator[bytes, None]:
        """Yield what follows, until the task has ended, the token is no longer good, or the time is over."""
        self.there.add(mine)
        if self.looking is None or self.looking.done():
            self.looking = asyncio.get_running_loop().create_task(self._watch())
        until = time.monotonic() + SECONDS
        try:
            while not mine.is_over and (left := until - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(min(BEAT, left)), self.news:
                        await self.news.wait_for(lambda: mine.is_over or self._is_news(mine))
                except TimeoutError:
                    yield ALIVE
                    continue
                if self._is_news(mine):
                    key, text, ended = self.found[mine.task]
                    mine.last, mine.is_over = key, mine.is_over or ended
                    yield text
        finally:
            self.there.discard(mine)

    def _is_news(self, mine: Follower) -> bool:
        return mine.task in self.found and self.found[mine.task][0] != mine.last

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while self.there:
            tasks, tokens = {one.task for one in self.there}, {one.token for one in self.there}
            try:
                found, good = await loop.run_in_executor(self.thread, self.look, tasks, tokens)
            except Exception:  # a database that is away: the signs of life go on, and it is asked again
                log.exception("The tasks that are followed could not be looked at.")
                found, good = {}, tokens
            async with self.news:
                self.found = found
                for one in self.there:
                    one.is_over = one.is_over or (one.token in tokens and one.token not in good)
                self.news.notify_all()
            await asyncio.sleep(EACH)
        self.found = {}
