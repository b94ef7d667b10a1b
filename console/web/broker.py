"""The broker's own client, for what is asked of it beside messages."""

from __future__ import annotations

from django.conf import settings
from redis import Redis


def client(*, connect: float = 1.0, answer: float = 2.0) -> Redis:
    """Return a client of the server at REDIS_URL, to be closed by `with`; it waits no longer than that, in seconds.

    Raises ValueError for an address that it does not take, and RedisError or OSError when the server does not answer.
    """
    url = settings.REDIS_URL.replace("redis+socket://", "unix://", 1)  # as kombu calls a socket
    return Redis.from_url(url, socket_connect_timeout=connect, socket_timeout=answer)
