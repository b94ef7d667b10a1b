"""The queues: what waits in them."""

from __future__ import annotations

from celery import current_app
from kombu.exceptions import ChannelError

BEAT = "beat"  # what beat has sent; a worker takes the first queue by name, so this one
PEOPLE = "celery"  # what somebody waits for
BACKGROUND = "snapshots"  # what is read of the clouds, so that it is known when somebody comes


def waiting(queue: str) -> int:
    """Return how many messages no worker has taken yet; raises an error of kombu's when the broker does not answer."""
    with current_app.connection_or_acquire(pool=True) as connection:
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # nothing has ever been sent to it
            return 0
