"""What expires by the retention, compared with what pgBackRest itself would remove."""

from __future__ import annotations

import random
import re
import subprocess
import time

import pytest

from clusters.pgbackrest.retention import DAY, Retention, expired
from tests.clusters.pgbackrest.repository_files import (
    FILES,
    PLAIN,
    backup_info,
    backup_row,
    label,
    sections_of,
    with_checksum,
)

CONFIGURATION = """[global]
repo1-path={folder}/repository
log-path={folder}
lock-path={folder}
log-level-console=info
[orders]
pg1-path={folder}/data
"""


def generated(seed, now):
    """Return backups as a node might have made them: label to the row of backup.info, oldest first."""
    dice, found, full, differential, last = random.Random(seed), {}, "", "", ""
    at = now - dice.randint(1, 40) * DAY
    for _ in range(dice.randint(1, 25)):
        at += dice.choice([3600, 7 * 3600, DAY, 2 * DAY])
        if at >= now:
            break
        kind = dice.choice("FDII") if full else "F"
        prior = {"F": "", "D": full, "I": last}[kind]
        name = label(at, kind, "" if kind == "F" else full)
        row = backup_row(kind, at, at + dice.randint(1, 1800))
        if prior:
            row |= {"backup-prior": prior, "backup-reference": sorted({full, differential, prior} - {""})}
        found[name] = dict(sorted(row.items()))
        full, differential = (name, "") if kind == "F" else (full, name if kind == "D" else differential)
        last = name
    return found


def test_the_checksum_of_the_generated_files_is_pgbackrests():
    assert with_checksum(sections_of(PLAIN.decode())) == PLAIN.decode()


@pytest.fixture
def pgbackrest(tmp_path):
    """A function that returns what the real program would remove of these backups, as it says itself."""
    backups, archive = (tmp_path / "repository" / one / "orders" for one in ("backup", "archive"))
    archive.mkdir(parents=True)
    (archive / "archive.info").write_bytes((FILES / "plain/archive.info").read_bytes())
    (tmp_path / "pgbackrest.conf").write_text(CONFIGURATION.format(folder=tmp_path))

    def run(found, retention):
        for name in found:
            (backups / name).mkdir(parents=True)
            (backups / name / "backup.manifest").touch()
        text = backup_info(found)
        (backups / "backup.info").write_text(text)
        (backups / "backup.info.copy").write_text(text)
        options = [f"--repo1-retention-full={retention.full}"]
        options += ["--repo1-retention-full-type=time"] if retention.by_time else []
        options += [f"--repo1-retention-diff={retention.diff}"] if retention.diff else []
        command = ["pgbackrest", f"--config={tmp_path}/pgbackrest.conf", "--stanza=orders", "--dry-run", *options]
        said = subprocess.run([*command, "expire"], check=False, capture_output=True, text=True, timeout=30)
        assert said.returncode == 0, said.stdout + said.stderr
        lines = re.findall(r"expire (?:full|diff|time-based) backup (?:set )?(.*)", said.stdout)
        return {one for line in lines for one in line.split(", ")}

    return run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_expired_is_what_pgbackrest_removes(pgbackrest, seed):
    now, dice = int(time.time()), random.Random(1000 + seed)
    found = generated(seed, now)
    retention = Retention(dice.random() < 0.5, dice.randint(1, 12), dice.choice([None, None, 1, 2, 3, 5]))
    ours = expired({name: row["backup-timestamp-stop"] for name, row in found.items()}, retention, now)
    assert ours == pgbackrest(found, retention), (list(found), retention)


def test_the_generated_sets_are_of_all_kinds():
    """A comparison in which nothing ever expires would prove nothing."""
    now, seen = int(time.time()), set()
    for seed in range(40):
        dice, found = random.Random(1000 + seed), generated(seed, now)
        retention = Retention(dice.random() < 0.5, dice.randint(1, 12), dice.choice([None, None, 1, 2, 3, 5]))
        ours = expired({name: row["backup-timestamp-stop"] for name, row in found.items()}, retention, now)
        seen |= {(retention.by_time, one[-1]) for one in ours}
    assert seen == {(by_time, kind) for by_time in (True, False) for kind in "FDI"}
