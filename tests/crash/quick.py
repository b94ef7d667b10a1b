"""The console's settings, with leases that run out soon, so that tests need not wait for them."""

from console.settings import *  # noqa: F403

LEASE_SECONDS = 2
CELERY_BEAT_SCHEDULE = {"resume-stalled": CELERY_BEAT_SCHEDULE["resume-stalled"]}  # noqa: F405 - nothing reads meanwhile
