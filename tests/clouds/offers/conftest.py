"""The scripts that give the console its access, run against stand-ins for the clouds' own commands."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from copy import deepcopy

import pytest

# Asks us through one pipe, and waits at the other; a start of Python for each call would take a minute altogether.
STAND_IN = """#!/bin/sh
for one; do printf '%s\\036' "$one"; done > "$STANDS_IN/asked"
read -r code < "$STANDS_IN/answered"
cat "$STANDS_IN/out"
cat "$STANDS_IN/err" >&2
[ "$code" != 137 ] || kill -9 "$PPID"
exit "$code"
"""


class Shell:
    """A folder with a script in it, a stand-in for the cloud's command, and what that has made so far."""

    def __init__(self, folder, program, answer, state):
        self.state, self.calls, self._answer = state, [], answer
        self.folder, self._pipes = folder / "home", folder / "pipes"
        for one in (self.folder, self._pipes):
            one.mkdir()
        stand_in = self._pipes / program
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        for name in ("asked", "answered"):
            os.mkfifo(self._pipes / name)

    def _serve(self):
        while True:
            words = (self._pipes / "asked").read_text().split("\036")[:-1]
            if words == ["", "end"]:
                return
            self.calls.append(words)
            try:
                code, out, err = self._answer(self.state, words, self.folder)
            except Exception as error:
                code, out, err = 99, "", f"the stand-in: {error!r}\n"
            (self._pipes / "out").write_text(out)
            (self._pipes / "err").write_text(err)
            (self._pipes / "answered").write_text(f"{code}\n")

    def run(self, script, *arguments, **environment):
        """Run the script as somebody does whose files everybody may read; returns how it ended."""
        (self.folder / "storekeeper-setup.sh").write_text(script)
        self.calls.clear()
        server = threading.Thread(target=self._serve, daemon=True)
        server.start()
        path = f"{self._pipes}:{os.environ['PATH']}"
        ended = subprocess.run(
            [shutil.which("sh"), "storekeeper-setup.sh", *arguments],
            cwd=self.folder,
            env={"PATH": path, "STANDS_IN": str(self._pipes), "PAUSE": "0", **environment},
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
            timeout=60,
        )
        (self._pipes / "asked").write_text("\036end\036")
        server.join()
        assert "the stand-in:" not in ended.stderr, ended.stderr
        return ended

    def change(self, **values):
        self.state.update(deepcopy(values))

    def written(self):
        """Return what the script left in its folder, with who may read it."""
        found = [one for one in self.folder.iterdir() if one.name != "storekeeper-setup.sh"]
        return {one.name: stat.S_IMODE(one.stat().st_mode) for one in found}


@pytest.fixture
def shell(tmp_path):
    """Return what makes a folder for a stand-in and its first state."""
    return lambda program, answer, state: Shell(tmp_path, program, answer, state)
