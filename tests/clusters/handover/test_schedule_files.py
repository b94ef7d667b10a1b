"""A node's schedule as files."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from clusters.handover import schedule_files
from clusters.models import Database
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


PLANNED = {"full": "0 1 1,15 * 0", "diff": "*/20 3 * * *", "incr": "0 1 1-31 * 1"}
WORST = "orders 100% '$(id)' ` \\"


def longest(schedules):
    """What makes the longest lines that a node can be handed: 60 stores, and names of the greatest length."""
    configuration = planned(schedules, range(1, 61))
    stanzas = [
        replace(configuration.stanzas[0], name=letter * Database._meta.get_field("name").max_length) for letter in "ab"
    ]
    return replace(configuration, cluster=WORST, stanzas=stanzas, left=configuration.targets[:9])


def test_no_line_is_too_long_for_cron():
    often = ",".join(str(minute) for minute in range(10, 46))[:91]
    lines = schedule_files.crontab(longest({"full": f"{often} 1 * * 0"})).content.splitlines()
    assert len(lines) == 6
    assert (
        max(len(line) for line in lines) < 400
    )  # cron takes commands of 998 characters, and ignores the file for more


def test_cron_reads_the_file_by_its_name():
    name = planned({}).layout.crontab.rsplit("/", 1)[1]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name)  # cron(8): others it does not look at


@pytest.mark.skipif(not shutil.which("crontab"), reason="cron is not installed")
def test_cron_takes_the_file(tmp_path):
    content = schedule_files.crontab(longest(PLANNED)).content
    file = tmp_path / "crontab"
    file.write_text(re.sub(r"^((\S+ ){5})postgres ", r"\1", content, flags=re.MULTILINE))  # a user's own has no user
    assert subprocess.run(["crontab", "-n", file], check=False, capture_output=True).returncode == 0
    file.write_text(f"{file.read_text()}5/15 * * * * true\n")
    assert subprocess.run(["crontab", "-n", file], check=False, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path):
    configuration = longest(PLANNED)
    for one in schedule_files.units(configuration):
        text = re.sub(r"(?<=ExecStart=)\S+", "/bin/true", one.content)
        (tmp_path / one.path.rsplit("/", 1)[1]).write_text(text)

    def verified():
        command = ["systemd-analyze", "verify", "--man=no", "--generators=no", *sorted(tmp_path.iterdir())]
        said = subprocess.run(
            command, check=False, capture_output=True, text=True, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
        )
        return [line for line in said.stderr.splitlines() if str(tmp_path) in line or "pgbackrest" in line]

    assert verified() == []
    timer = next(tmp_path.glob("*-full.timer"))
    timer.write_text(timer.read_text().replace("OnCalendar=", "OnCalendar=no", 1))
    assert verified()
