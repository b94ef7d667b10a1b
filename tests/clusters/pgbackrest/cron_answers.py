"""Cron expressions of all kinds, and what Debian's cron and systemd make of them: recorded, and asked anew.

`python -m tests.clusters.pgbackrest.cron_answers ASK_CRON` records anew; ASK_CRON is ask_cron.c, compiled. A line has
an expression, cron's error or what cron reads in it, and, where it is a schedule for us, our calendar events and
systemd's first times of them.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from clusters.pgbackrest.schedules import MONTHS, WEEKDAYS, Unusable, on_calendar, parse

RECORDED = Path(__file__).with_name("cron_answers.tsv")
SEED, NUMBER = 17, 2500
BASE = datetime(2027, 1, 1)
ITERATIONS = 4
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = ((), (), (), MONTHS, WEEKDAYS)
MIN_STAR, HOUR_STAR, DAY_STAR, WEEKDAY_STAR = 8, 16, 1, 2  # cron.h
# From reports, and what is easily written.
KNOWN = (
    "5/15 * * * *", "0 0 * * fri/2", "0 0 * * 7/4", "0 0 * * 8", "0 1 1-31 * 1", "0 1 1 * 0-6", "0 1 */2 * 1",
    "0 1 * * */2", "0 1 1,*/10 * 1", "0 1 *,1 * 1", "0 22-2 * * *", "0 0 * * sat-sun", "0 0 * * fri-7", "0 0 31 2 *",
    "0 0 31 2 1", "0 0 29 2 *", "5-5/15 * * * *", "0 0 * * 7-7/3", "0 0 * * sun-0/2", "*/0 * * * *", "*/70 * * * *",
    "060 * * * *", "00 001 * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 0 *", "0 0 * 13 *",
    "0 0 * JAN-Mar Mon", "0 0 * mon jan", "@daily * * * *", "*/15,5-10/2,59 */6 * * *", "1;5 2 * * *", "5x 2 * * *",
    "*5 * * * *", "** * * * *", "1,,2 * * * *", ",1 * * * *", "1, * * * *", "1- * * * *", "-1 * * * *", "1-2-3 * * * *",
    "1-5/2/2 * * * *", "*/*/2 * * * *", "~ * * * *", "L * * * *", "0 0 L * *", "0 0 * * 1#2", "0 0 15W * *",
    "0 0 ? * *", "*/1 */1 */1 */1 */1", "0 0 31 4,6,9,11 *", "0 0 31 */2 *", "0 0 30 2 */2", "0 0 29 2 */3",
)  # fmt: skip


def _value(draw: random.Random, at: int) -> str:
    low, high = BOUNDS[at]
    if NAMES[at] and draw.random() < 0.3:
        return draw.choice([str.lower, str.upper, str.title])(draw.choice(NAMES[at]))
    value = draw.choice([draw.randint(low, high)] * 30 + [low, high, high, high + 1, low - 1 if low else 0, 99])
    return f"{value:02d}" if draw.random() < 0.1 else str(value)


def _item(draw: random.Random, at: int) -> str:
    kind = draw.random()
    if kind < 0.45:
        return _value(draw, at)
    first = "*" if kind < 0.65 else f"{_value(draw, at)}-{_value(draw, at)}"
    low, high = BOUNDS[at]
    if "-" in first and draw.random() < 0.7:  # most of them forwards
        first = "-".join(str(one) for one in sorted((draw.randint(low, high), draw.randint(low, high))))
    step = draw.choice([1, 2, 3, 4, 5, 6, 7, 10, 15, 30, high, high + 5, 0 if draw.random() < 0.2 else 2])
    return f"{first}/{step}" if draw.random() < 0.5 else first


def _field(draw: random.Random, at: int) -> str:
    if draw.random() < (0.1, 0.1, 0.45, 0.6, 0.4)[at]:
        return "*"
    return ",".join(_item(draw, at) for _ in range(draw.choice([1, 1, 1, 1, 2, 2, 3])))


def _mutated(draw: random.Random, text: str) -> str:
    for _ in range(draw.choice([1, 1, 2])):
        at = draw.randrange(len(text) or 1)
        text = (
            text[:at]
            + draw.choice(["", *"0123456789*/,-#LW?;x%~@", "jan", "sun", "//"])
            + text[at + draw.choice([0, 1]) :]
        )
    return text or "*"


def expressions(seed: int, number: int) -> Iterator[str]:
    """Yield so many different expressions of five fields: shaped by the grammar, and some of them spoiled."""
    draw, seen = random.Random(seed), set()
    for text in KNOWN:
        seen.add(text)
        yield text
    while len(seen) < number:
        fields = [_field(draw, at) for at in range(5)]
        if draw.random() < 0.2:
            at = draw.randrange(5)
            fields[at] = _mutated(draw, fields[at])
        text = " ".join(fields)
        if text not in seen and len(text) <= 100 and " ".join(text.split()) == text:
            seen.add(text)
            yield text


def ours(expression: str) -> str:
    """Return why we refuse it, or an empty text."""
    try:
        parse(expression)
    except Unusable as error:
        return str(error)
    return ""


def _set(bits: int, number: int) -> list[int]:
    return [at for at in range(number) if bits >> at & 1]


@dataclass(frozen=True)
class Read:
    """What cron reads in an expression, as bits, and its flags."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    flags: int

    @classmethod
    def of(cls, answer: str) -> Read | None:
        """Return what the answer says, or None where it is an error."""
        return (
            cls(*(int(one, 16) for one in answer.split(" ")))
            if re.fullmatch(r"([0-9a-f]+ ){5}[0-9a-f]+", answer)
            else None
        )

    def comes_on(self, day: datetime) -> bool:
        """Return whether cron runs it on this day, as find_jobs() in cron.c has it."""
        in_month, in_week = self.days >> (day.day - 1) & 1, self.weekdays >> (day.isoweekday() % 7) & 1
        both = self.flags & (DAY_STAR | WEEKDAY_STAR)
        return bool(self.months >> (day.month - 1) & 1 and (in_month and in_week if both else in_month or in_week))

    def first(self, number: int, years: int = 9) -> list[datetime]:
        """Return the first times from BASE on, by a clock that is never changed."""
        clock = [
            (hour, minute)
            for hour in range(24)
            if self.hours >> hour & 1
            for minute in range(60)
            if self.minutes >> minute & 1
        ]
        found: list[datetime] = []
        for day in (BASE + timedelta(days=at) for at in range(366 * years)):
            if clock and self.comes_on(day):
                found += [day.replace(hour=hour, minute=minute) for hour, minute in clock]
            if len(found) >= number:
                break
        return found[:number]

    @property
    def never(self) -> bool:
        """Return whether it never runs; 29 February falls on each day of the week within 28 years, 2100 apart."""
        return not self.first(1, 45)


def ask_crontab(lines: Sequence[str]) -> str:
    """Return what Debian's crontab says against a file of these expressions; an empty text when it takes it."""
    text = "".join(f"{line} true\n" for line in lines)
    with tempfile.NamedTemporaryFile("w", suffix=".crontab") as file:
        file.write(text)
        file.flush()
        ran = subprocess.run(["crontab", "-n", file.name], check=False, capture_output=True, text=True)
    return ran.stderr if ran.returncode else ""


def ask_systemd(
    events: Sequence[str], base: datetime, zone: str = "UTC", iterations: int = ITERATIONS
) -> dict[str, list[datetime]]:
    """Return the first times of each calendar event after `base`, as clocks of that zone show them."""
    found: dict[str, list[datetime]] = {}
    base, events = base - timedelta(seconds=1), list(dict.fromkeys(events))
    for at in range(0, len(events), 200):
        some = events[at : at + 200]
        said = subprocess.run(
            ["systemd-analyze", "calendar", f"--iterations={iterations}", f"--base-time={base}", *some],
            check=True,
            capture_output=True,
            text=True,
            env={"TZ": zone, "LC_ALL": "C"},
        )
        for event, part in zip(some, said.stdout.strip().split("\n\n"), strict=True):
            times = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+)", part)
            found[event] = [datetime.fromisoformat(one) for one in times]
    return found


def has(program: str) -> bool:
    """Return whether the program is on this machine."""
    return shutil.which(program) is not None


def recorded() -> list[list[str]]:
    """Return the lines of the record, each as its parts."""
    return [line.split("\t") for line in RECORDED.read_text().splitlines()]


def first_of(events: Sequence[str], answers: dict[str, list[datetime]], number: int = ITERATIONS) -> list[datetime]:
    """Return the first times at which one of the events comes."""
    return sorted({time for event in events for time in answers[event]})[:number]


def record(ask_cron: str) -> None:
    """Ask both programs and write the record."""
    asked = list(expressions(SEED, NUMBER))
    said = subprocess.run(
        [ask_cron], input="".join(f"{one} true\n" for one in asked), check=True, capture_output=True, text=True
    ).stdout.splitlines()
    events = {one: list(on_calendar(one)) for one in asked if not ours(one)}
    answers = ask_systemd([event for some in events.values() for event in some], BASE)
    lines = []
    for one, answer in zip(asked, said, strict=True):
        parts = [one, answer]
        if one in events:
            minutes = [str((time - BASE) // timedelta(minutes=1)) for time in first_of(events[one], answers)]
            parts += ["; ".join(events[one]), " ".join(minutes)]
        lines.append("\t".join(parts) + "\n")
    RECORDED.write_text("".join(lines))


if __name__ == "__main__":
    record(sys.argv[1])
