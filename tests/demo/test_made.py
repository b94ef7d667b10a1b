"""What is there already, a demo's start does not make again."""

from __future__ import annotations

import pytest

from console.demo import supervisor
from tests.demo_process import Made


@pytest.fixture
def started(monkeypatch):
    """The management commands that were started."""
    started = []

    class Job:
        stamp = state = None

    monkeypatch.setattr(supervisor.Demo, "launch_job", lambda self, command, *_: started.append(command) or Job())
    return started


@pytest.fixture
def data(tmp_path):
    made = Made(tmp_path / "migrated.sqlite3", tmp_path / "collected")
    made.migrated.write_text("tables")
    made.collected.mkdir()
    (made.collected / "staticfiles.json").write_text("{}")
    folder = tmp_path / "data"
    folder.mkdir()
    made.give(folder)
    return folder


def refresh(data):
    demo = supervisor.Demo(port=0, data=data, latency=0)
    for command in supervisor.MADE:
        demo.refresh(command)


def test_nothing_is_made_again_that_is_as_the_last_start_left_it(data, started):
    refresh(data)
    assert started == []


@pytest.mark.parametrize("command", supervisor.MADE)
def test_what_was_made_of_other_sources_or_is_gone_is_made_again(data, started, command):
    (data / f"{command}.stamp").write_text("of other sources")
    refresh(data)
    assert started == [command]
    (data / f"{command}.stamp").write_text(supervisor.state_of(command))
    (data / supervisor.MADE[command][1]).unlink()
    refresh(data)
    assert started == [command, command]
