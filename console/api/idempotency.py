"""The same call twice, done once: Idempotency-Key (IETF httpapi-idempotency-key-header, draft 7).

The answer is kept in the transaction that does the work, so there is never the one without the other. Of two at the
same time the second waits for the first one's row, and gets its answer. What was refused is not kept: it may be sent
again when the reason is gone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpResponse

from console.api.authentication import CallRequest
from console.api.calls import answered
from console.api.models import KeptAnswer
from console.api.problems import Problem

KEY = re.compile(r"[!-~]{1,255}")


def once(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Do what the view does once for each Idempotency-Key of a client, within 24 hours; without one, each time."""

    @wraps(view)
    def answer(request: CallRequest, **given: Any) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(request, **given)
        if not KEY.fullmatch(key):
            raise Problem(400, "Idempotency-Key is up to 255 characters of ASCII, without spaces.")
        asked = hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.body).hexdigest()
        with transaction.atomic():
            kept = _take(request, key, asked)
            if kept is not None:
                return _again(kept, asked)
            mine = KeptAnswer.objects.filter(token=request.token, key=key)
            try:
                done = view(request, **given)
            except Problem as problem:  # what was written down of the refusal stays
                mine.delete()
                refusal = problem
            else:
                # Encrypted: some answers hold a secret that is shown once.
                mine.update(
                    status=done.status_code,
                    sealed={"content": json.loads(done.content or b"null")},
                    location=done.headers.get("Location", ""),
                )
                return done
        raise refusal

    answer.is_once = True  # type: ignore[attr-defined]
    return answer


def _take(request: CallRequest, key: str, asked: str) -> KeptAnswer | None:
    """Return what was answered before; None when this is the first such call, whose place is taken now."""
    KeptAnswer.objects.filter(token=request.token, key=key, created_at__lt=Now() - KeptAnswer.KEPT).delete()
    try:
        with transaction.atomic():
            KeptAnswer.objects.create(token=request.token, key=key, asked_sha256=asked)
    except IntegrityError:
        return KeptAnswer.objects.get(token=request.token, key=key)
    return None


def _again(kept: KeptAnswer, asked: str) -> HttpResponse:
    if kept.asked_sha256 != asked:
        raise Problem(422, "This Idempotency-Key was used for another call. Take a new one for each call.")
    content = kept.content if kept.sealed is None else kept.sealed["content"]
    response = answered(content, status=kept.status, location=kept.location)
    response.headers["Idempotency-Replayed"] = "true"
    return response
