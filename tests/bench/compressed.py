"""The console's settings, with beat sweeping as much more often as tests.bench.fleet lets time go faster."""

from __future__ import annotations

import os

from console.settings import *  # noqa: F403 - all of them
from console.settings import CELERY_BEAT_SCHEDULE

SPEED = float(os.environ["FLEET_SPEED"])
CELERY_BEAT_SCHEDULE = {
    name: {**entry, "schedule": entry["schedule"] / SPEED} for name, entry in CELERY_BEAT_SCHEDULE.items()
}
