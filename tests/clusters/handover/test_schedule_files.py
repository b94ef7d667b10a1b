"""A node's schedule as files."""

from __future__ import annotations

from dataclasses import replace

from clusters.handover import schedule_files
from tests.clusters.handed_over import handed

CALLED = handed().layout.pgbackrest


def planned(schedules, numbers=(1, 3)):
    configuration = handed().configuration
    targets = [replace(configuration.targets[0], number=number) for number in numbers]
    return replace(configuration, targets=targets, schedules=schedules, left=())


def test_crontab_runs_the_script_for_each_type():
    lines = schedule_files.crontab(planned({"full": "0 1 * * 0", "diff": "0 1 * * 3"})).content.splitlines()
    script = planned({}).layout.backup
    assert lines[1:3] == [f"0 1 * * 0 postgres {script} main full", f"0 1 * * 3 postgres {script} main diff"]


def test_units_are_a_service_and_a_timer_for_each_type():
    files = schedule_files.units(planned({"full": "0 1 * * 0", "incr": "0 1 * * 1-6"}))
    assert [file.path.rsplit("/", 1)[1] for file in files] == [
        "pgbackrest-orders-aaa4-main-full.service",
        "pgbackrest-orders-aaa4-main-full.timer",
        "pgbackrest-orders-aaa4-main-incr.service",
        "pgbackrest-orders-aaa4-main-incr.timer",
        "pgbackrest-orders-aaa4-report.service",
        "pgbackrest-orders-aaa4-report.timer",
    ]
    # Without a minus before it, a run that fails fails the unit.
    assert files[0].content.endswith(f"ExecStart={planned({}).layout.backup} main full\n")
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri,Sat *-*-* 01:00:00" in files[3].content
