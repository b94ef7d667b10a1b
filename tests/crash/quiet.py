"""The console's settings, with nothing read of the clouds meanwhile: beat only resumes what stands still."""

from console.settings import *  # noqa: F403

CELERY_BEAT_SCHEDULE = {"resume-stalled": CELERY_BEAT_SCHEDULE["resume-stalled"]}  # noqa: F405
