"""How often a client may call: counted in the broker's own store, by all processes together.

While that does not answer, each process counts for itself: a broker that is down must not close the API.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

from django.conf import settings
from redis import Redis, RedisError

from console.web import broker

WINDOW = 60  # seconds
CALLS = 600  # of one client, or from one address without a good token, in a window
GRANTS = 30  # access tokens asked for from one address in a window
AWAY_FOR = 5.0  # seconds in which a store that did not answer is not asked again

_lock = threading.Lock()
_clients: dict[str, Redis] = {}
_own: Counter[str] = Counter()
_state = {"window": 0.0, "away_until": 0.0}


@dataclass(frozen=True)
class Usage:
    """How much of its limit a client has used."""

    limit: int
    used: int
    reset: int  # seconds until it begins anew

    @property
    def is_over(self) -> bool:
        """Return whether this call is one too many."""
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """Return what the answer says of it (IETF httpapi-ratelimit-headers, draft 11)."""
        left = max(0, self.limit - self.used)
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w={WINDOW}',
            "RateLimit": f'"default";r={left};t={self.reset}',
        }


def count(client: str, *, limit: int = CALLS) -> Usage:
    """Count a call of the client, and return how many there were in this window."""
    now = time.time()
    window = int(now // WINDOW)
    name = f"storekeeper:api:{client}:{window}"
    return Usage(limit, _shared(name) or _alone(name, window), WINDOW - int(now) % WINDOW)


def _shared(name: str) -> int:
    """Return the count of all processes; 0 where the store does not answer."""
    if time.monotonic() < _state["away_until"]:
        return 0
    try:
        pipe = _client().pipeline(transaction=False)
        pipe.incr(name)
        pipe.expire(name, 2 * WINDOW)
        return int(pipe.execute()[0])
    except (RedisError, OSError, ValueError):
        _state["away_until"] = time.monotonic() + AWAY_FOR
        return 0


def _client() -> Redis:
    url = settings.REDIS_URL
    with _lock:
        if url not in _clients:
            _clients[url] = broker.client(connect=0.3, answer=0.3)
        return _clients[url]


def _alone(name: str, window: int) -> int:
    with _lock:
        if _state["window"] != window:
            _own.clear()
            _state["window"] = window
        _own[name] += 1
        return _own[name]
