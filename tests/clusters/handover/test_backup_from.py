"""Which host makes the backup that is due: the shell function, as the schedule runs it, with hosts that are played."""

from __future__ import annotations

import itertools
import subprocess

import pytest

from clusters.handover.backup_from import is_to_back_up
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, OtherHost, StanzaConfiguration

pytestmark = pytest.mark.slow  # each runs a shell for each host

STATES = ("primary", "standby", "behind", "")  # "": the server, or the machine, does not answer
# psql says the state of the host that asks; ssh that of the host whose address is in the command.
PSQL = '#!/bin/sh\n[ -n "$OWN" ] && echo "$OWN"\n'
SSH = '#!/bin/sh\ncase "$*" in *@h1\\ *) echo "$H1" ;; *@h2\\ *) echo "$H2" ;; *@h3\\ *) echo "$H3" ;; esac\n'


def configuration(own, count, *, from_standby):
    others = [
        OtherHost(f"h{number}", "postgres", 22, "/etc/c.conf", "/data", 5432, number < own)
        for number in range(1, count + 1)
        if number != own
    ]
    stanza = StanzaConfiguration("main", 15, "/data", 5432, others=others)
    return Configuration("c", f"n{own}", BY_NUMBER[""], [], [stanza], backs_up_from_standby=from_standby)


@pytest.fixture
def backs_up(tmp_path):
    """A function that says whether a host is to back up, and with which backup-standby."""
    for name, content in (("psql", PSQL), ("ssh", SSH)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)

    def backs_up(states, own, *, from_standby):
        made = configuration(own, len(states), from_standby=from_standby)
        script = f'{is_to_back_up(made)}\nis_to_back_up main && echo "yes $PGBACKREST_BACKUP_STANDBY"'
        given = {f"H{number}": state for number, state in enumerate(states, 1)}
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OWN": states[own - 1], **given}
        ran = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert ran.stderr == ""
        return ran.stdout.strip()

    return backs_up


@pytest.mark.parametrize("states", list(itertools.product(STATES, repeat=2)))
def test_on_the_primary(backs_up, states):
    said = [backs_up(states, own, from_standby=False) for own in (1, 2)]
    # A server that does not answer fails its backup, and so it is reported; the others are quiet.
    assert [bool(one) for one in said] == [state in {"primary", ""} for state in states]


@pytest.mark.parametrize("states", list(itertools.product(STATES, repeat=3)))
def test_on_a_standby_and_else_on_the_primary(backs_up, states):
    said = [backs_up(states, own, from_standby=True) for own in (1, 2, 3)]
    if "standby" in states:
        first = states.index("standby")
        assert said == ["yes y" if number == first else "" for number in range(3)]
    else:
        assert said == ["" if state == "behind" else "yes n" for state in states]


def test_one_host_asks_nobody():
    stanza = StanzaConfiguration("main", 15, "/data", 5432)
    text = is_to_back_up(Configuration("c", "n1", BY_NUMBER[""], [], [stanza]))
    assert "psql" not in text
    assert subprocess.run(["sh", "-c", f"{text}\nis_to_back_up main"], check=False).returncode == 0
