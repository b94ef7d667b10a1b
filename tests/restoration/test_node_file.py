"""A node's files as somebody pastes them."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from clusters.models import Cluster
from console.restoration.node_file import NotOurs, id_of, read
from tests.restoration.pasted import FILE

ID = "0f7f1c5e-1111-4222-8333-444455556666"
SCRIPT = f"""#!/bin/sh
address=https://console.example.org/clusters/{ID}/nodes/n2/applied/
token() {{ echo abcdefghijklmnopqrstuvwxyz012345; }}
"""


def test_read_returns_all_that_the_file_says():
    given = read(FILE)
    assert (given.cluster, given.node, given.os_user, given.release) == ("ledger", "n2", "dba", "")
    assert given.schedules == {"full": "0 1 * * 0", "incr": "0 1 * * 1-6"}
    assert given.settings["archive-push-queue-max"] == "8GiB"
    first, third = given.repositories
    assert (first.number, first.prefix, first.folder, first.passphrase) == (
        *(1, "c-abcdefghijka", "n1"),
        "first=with=signs",
    )
    assert (third.number, third.prefix) == (3, "c-abcdefghijka/r3")
    assert given.prefix == "c-abcdefghijka"
    assert given.stanzas == {"ledger": {"pg1-path": "/var/lib/postgresql/15/main", "pg1-port": "5433"}}
    assert (given.cluster_id, given.token) == (None, "")


def test_read_takes_the_report_script_behind_it_and_windows_line_ends():
    given = read(f"$ sudo cat\n{FILE}{SCRIPT}".replace("\n", "\r\n"))
    assert (given.cluster_id, given.token) == (UUID(ID), "abcdefghijklmnopqrstuvwxyz012345")
    assert given.sha256_text == FILE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not begin"),
        ("[global]\nrepo1-path=/x", "does not begin"),
        (FILE[:300], "No repository is in it"),
        (FILE.replace("third", ""), "repo3 lacks"),
        (FILE.replace("/c-abcdefghijka/r3/n1", "/elsewhere"), "repo3 is in /elsewhere, .* was brought in"),
        (FILE.replace("/c-abcdefghijka/r3", "/c-bbbbbbbbbbba/r3"), "several clusters"),
        (FILE + SCRIPT.replace("/n2/", "/n7/"), "report.sh is of n7"),
        (FILE + SCRIPT.replace(ID, "-" * 36), "names no cluster"),
        (FILE * 200, "too long"),
    ],
    ids=["nothing", "another", "cut", "no-passphrase", "no-path", "clusters", "other-node", "no-id", "long"],
)
def test_read_refuses(text, says):
    with pytest.raises(NotOurs, match=says):
        read(text)


def test_id_of_gives_a_cluster_its_folder_again():
    for _ in range(50):
        prefix = Cluster(id=uuid4()).prefix
        assert Cluster(id=id_of(prefix)).prefix == prefix
        assert id_of(prefix) != id_of(prefix)
