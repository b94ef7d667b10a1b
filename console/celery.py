"""The Celery application: `celery -A console worker --pool threads`, and one `celery -A console beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, before_task_publish, celeryd_init, worker_init, worker_ready, worker_shutdown
from kombu.transport import redis
from redis.exceptions import ConnectionError as BrokerGone

from console.starting import or_exit, settle
from console.web import watchdog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# Else Celery runs Django's checks as a worker or beat starts, and throws away what they find. They load every page: a
# second of a core, and 34 MB in each of these processes. What must hold is looked at by `look_first`.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("console", task_cls="console.accounts.installation:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
watchdog.watch(app)


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that, once closed, fails with an error that kombu expects.

    A worker whose broker goes away acknowledges what it had in hand on the channel that is gone. kombu's own then
    raises AttributeError, of which the whole worker dies; this one is logged, and the worker connects again.
    """

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client; the same one for all that is sent, received and acknowledged, as long as its pool lasts.

        kombu makes one for each message that comes, and one for each that goes: a fifth of what a message costs.
        """
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        known = getattr(self, "_kept_client", None)
        if known is None or known.connection_pool is not self.pool:
            known = self._kept_client = super()._create_client()  # type: ignore[misc]
        return known

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise BrokerGone("The connection to the broker is closed.")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]


redis.Transport.Channel = Channel


@celeryd_init.connect
@beat_init.connect
def look_first(options: dict[str, Any] | None = None, **_: Any) -> None:
    """Keep a worker, or beat, from starting on another console's database or broker, or so that it harms its own."""
    from console.accounts.installation import before_work  # noqa: PLC0415 - models are there from now on
    from console.web.database import fork_nothing  # noqa: PLC0415

    with or_exit():
        if options is not None:  # a worker's
            fork_nothing(options)
        before_work()
    if options is None:  # beat has loaded all of its own; a worker settles when it is ready
        settle()


@worker_init.connect
def share_connections(**_: object) -> None:
    """Have the threads of a worker share its connections to the database, and hold none while they wait for a cloud."""
    from console.clouds import streams  # noqa: PLC0415 - this module is loaded before Django's settings are
    from console.web import database  # noqa: PLC0415

    database.limit(database.worker())
    streams.before_waiting.append(database.give_back)
    before_task_publish.connect(database.give_back)
    worker_ready.connect(database.give_back)  # what its main thread has looked up before it took work
    worker_ready.connect(lambda **_: settle(), weak=False)
    worker_shutdown.connect(lambda **_: database.close(), weak=False)
