"""What workers do so that an older copy is noticed before anything goes on."""

from __future__ import annotations

import logging

from celery import shared_task
from celery.signals import worker_init
from django.db import Error as DatabaseError

from console.restoration import generation

log = logging.getLogger(__name__)


@shared_task
def mark_generation() -> bool:
    """Count on, and compare with what the broker remembers; return whether the database was behind."""
    return generation.look()


@worker_init.connect
def look_first(**_: object) -> None:
    """Look before this worker takes anything up."""
    try:
        generation.look(begins=True)
    except DatabaseError:
        log.exception("Whether this database is a copy could not be looked up; it will be in a minute")
