"""`python -m tests.crash.skewed …` is `celery …` in a process whose clock is CLOCK_OFF seconds off."""

import datetime
import os
import time

OFF = float(os.environ["CLOCK_OFF"])
real_time, real_datetime = time.time, datetime.datetime


class Datetime(real_datetime):
    """A datetime that reads the clock of this process."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.UTC).replace(tzinfo=None)


# Before anything else is loaded, so that all of it takes these.
time.time = lambda: real_time() + OFF
datetime.datetime = Datetime

if __name__ == "__main__":
    from celery.__main__ import main

    main()
