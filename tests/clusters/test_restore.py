"""The page on which a restore is chosen: what it offers, what it refuses beside which field, and its script."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters import actions
from clusters.models import Cluster, Database, Inventory, KnownStanza, Node, Repository, Stanza
from clusters.pgbackrest.repository import Backup, PastDatabase, StanzaState, Timeline, as_json
from clusters.recovery.restores import of_cluster
from console.audit.models import AuditEvent
from tests import factories
from tests.clusters.conftest import work
from tests.clusters.nodes import node_setup
from tests.responses import HTMX, text_of
from tests.sampling import thorough_but

OURS, BEFORE, THEIRS = "7711134786693777346", "7711000000000000001", "7000000000000000001"
# Four backups on four days; WAL came until noon of the fifth.
DAY = datetime(2026, 10, 22, 1, 0, tzinfo=UTC)
FULL, INCR, SECOND = "20261022-010000F", "20261022-010000F_20261023-010000I", "20261024-010000F"
PRIOR, FOREIGN = "20261001-010000F", "20261002-010000F"


def backup(label, days, kind="full", system_id=OURS, db_id=2, segment=1):
    began = int((DAY + timedelta(days=days)).timestamp())
    wal = f"0000000100000000000000{segment:02X}"
    return Backup(label, kind, began, began + 60, 64 * 2**20, 10 * 2**20, wal, wal, system_id, False, db_id, 1)


def stanza_state(**values):
    backups = [
        backup(PRIOR, -21, system_id=BEFORE, db_id=1),
        backup(FULL, 0, segment=2),
        backup(INCR, 1, "incr", segment=4),
        backup(SECOND, 2, segment=6),
    ]
    last = "00000001000000000000000A"
    arrived = (DAY + timedelta(days=4, hours=11)).isoformat()
    facts = {
        "node": "n1",
        "stanza": "orders",
        "status": "read",
        "system_id": OURS,
        "postgresql": "15",
        "backups": backups,
        "last_wal": last,
        "last_wal_at": arrived,
        "db_id": 2,
        "history": [PastDatabase(1, BEFORE, "13"), PastDatabase(2, OURS, "15")],
        "timelines": [Timeline("15-2", 1, "000000010000000000000001", last, arrived, 10, 20 * 2**20)],
        "wal_bytes": 20 * 2**20,
        "wal_segments": 10,
    }
    return StanzaState(**{**facts, **values})


def seen(repository, *states):
    now = timezone.now()
    values = {"content": as_json(list(states)), "read_at": now, "tried_at": now}
    Inventory.objects.update_or_create(repository=repository, defaults=values)


@pytest.fixture
def cluster(make, stores):
    """Three nodes; n1 writes to the first store, where orders has four backups, one of them before pg_upgrade."""
    made = make(stores)
    database = Database.objects.create(
        cluster=made, name="orders", version="15", data_directory="/var/lib/postgresql/15/main"
    )
    Stanza.objects.create(cluster=made, node=made.nodes.get(name="n1"), database=database, system_id=OURS)
    seen(made.repositories.get(number=1), stanza_state())
    return made


def asked(client, cluster, headers=None, **chosen):
    address = f"/clusters/{cluster.pk}/restore/?{urlencode(chosen)}"
    return client.get(address, headers=headers or {})


def script_of(client, cluster, status=200, **chosen):
    answer = client.get(f"/clusters/{cluster.pk}/restore.sh?{urlencode(chosen)}")
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def command_of(script):
    return re.search(r"(?m)^as_postgres (pgbackrest .*)$", script)[1]


def error_of(answer, field):
    page = text_of(answer)
    assert answer.status_code == 422, page
    found = re.search(rf'id="id_{field}_error">(.*?)</p>', page, re.S)
    assert found, page[page.find("<form class=") :]
    return re.sub(r"<[^>]+>", "", found[1]).strip()


# What it offers


def test_the_page_is_whole_without_a_word_and_hides_every_secret(as_alice, cluster):
    page = text_of(asked(as_alice, cluster))
    repository = cluster.repositories.get(number=1)
    assert repository.passphrase not in page
    assert "••••••••" in page
    assert "sudo sh restore-orders-of-n1.sh" in page
    assert "--archive-mode=off" in page
    assert "2026-10-22 01:01:00 UTC" in page  # the window, in words
    assert "2026-10-26 12:00:00 UTC" in page
    drawn = "".join(re.findall(r'class="window-tick \w+" d="([^"]*)"', page))
    assert drawn.count("M") == 3  # and drawn; the prior one is not in it
    assert "27.0\xa0MB" in page or "an estimate" in page


def test_the_cluster_s_and_the_node_s_page_lead_there(as_alice, cluster):
    page = as_alice.get(cluster.get_absolute_url()).content.decode()
    assert f'href="/clusters/{cluster.pk}/restore/"' in page
    found = re.findall(r'href="([^"]+)"\s+aria-label="Restore ([^"]+)"', page)
    assert [one for _, one in found] == [SECOND, INCR, FULL, PRIOR]
    answer = as_alice.get(found[2][0].replace("&amp;", "&"))
    assert f"--set={FULL}" in text_of(answer)
    node = text_of(as_alice.get(f"/clusters/{cluster.pk}/nodes/n1/"))
    assert f"/clusters/{cluster.pk}/restore/?node=n1" in node
    drills = re.findall(r"<pre tabindex=\"0\">(sudo -u postgres pgbackrest [^<]* restore)</pre>", node)
    assert len(drills) == 1
    for part in ("--archive-mode=off", "--tablespace-map-all=", "--pg1-path=/var/lib/postgresql/15/main-drill "):
        assert part in drills[0]


CHOSEN = [
    ({}, []),
    ({"backup": FULL}, [f"--set={FULL}"]),
    ({"target": "immediate", "backup": INCR}, [f"--set={INCR}", "--type=immediate"]),
    (
        {"target": "time", "time": "2026-10-25T02:30:00", "zone": "Europe/Berlin", "offset": "+02:00"},
        ["--type=time", "'--target=2026-10-25 00:30:00+00'"],
    ),
    (
        {"target": "time", "time": "2026-10-25T02:30:00", "zone": "Europe/Berlin", "offset": "+01:00"},
        ["--type=time", "'--target=2026-10-25 01:30:00+00'"],
    ),
    (
        {"target": "time", "time": "2026-10-24T12:00", "exclusive": "on"},
        ["'--target=2026-10-24 12:00:00+00'", "--target-exclusive"],
    ),
    ({"target": "time", "time": "2026-10-24 12:00:00+02"}, ["'--target=2026-10-24 10:00:00+00'"]),
    ({"target": "name", "point": "before the release"}, ["--type=name", "'--target=before the release'"]),
    ({"target": "lsn", "lsn": "0/3000a48"}, ["--type=lsn", "--target=0/3000A48"]),
    ({"target": "xid", "xid": "0728", "exclusive": "on"}, ["--type=xid", "--target=728", "--target-exclusive"]),
    ({"timeline": "1"}, ["--target-timeline=1"]),
]


@pytest.mark.parametrize(
    ("number", "where"),
    thorough_but(product(range(len(CHOSEN)), ("folder", "machine", "in_place")), by=lambda cell: cell[0]),
)
def test_the_command_is_what_was_chosen(as_alice, cluster, number, where):
    chosen, options = CHOSEN[number]
    command = command_of(script_of(as_alice, cluster, where=where, **chosen))
    for option in options:
        assert option in command
    assert ("--target-action=pause" in command) == ("target" in chosen)
    assert ("--archive-mode=off" in command, "--tablespace-map-all=" in command) == ((where != "in_place",) * 2)
    assert (f"--config={node_setup(cluster).layout.configuration} " in command) == (where == "in_place")


def test_the_configuration_of_a_copy_reads_and_does_nothing_else(as_alice, cluster):
    script = script_of(as_alice, cluster, where="machine")
    text = re.search(r"(?ms)pgbackrest\.conf' ?<<|pgbackrest\.conf <<'END_OF_FILE'\n(.*?)^END_OF_FILE", script)[1]
    assert f"repo1-cipher-pass={cluster.repositories.get(number=1).passphrase}" in text
    assert "retention" not in text
    assert "repo2-" not in text
    assert "report" not in script.split("END_OF_FILE")[1]
    assert "cron" not in script


def test_each_script_that_is_handed_out_is_written_down(as_alice, cluster):
    script_of(as_alice, cluster, where="in_place")
    event = AuditEvent.objects.get(action="Was shown a restore script with its secrets")
    assert event.after == {"database": "orders on n1", "repository": "archive-dub (repo1)", "to": "in_place"}


def test_the_node_itself_goes_back_by_its_own_configuration(as_alice, cluster):
    script = script_of(as_alice, cluster, where="in_place")
    assert cluster.repositories.get(number=1).passphrase not in script
    page = text_of(asked(as_alice, cluster, where="in_place"))
    for words in ("Make a full backup at once", "sudo systemctl stop postgresql", "new timeline", ".before-restore-"):
        assert words in page
    # From a store that it has left, by one that holds that store alone.
    node = cluster.nodes.get(name="n1")
    node.chosen.set(cluster.attachments.filter(repository__number=2))
    Node.objects.filter(pk=node.pk).update(writes_to="chosen")
    script = script_of(as_alice, cluster, where="in_place")
    assert cluster.repositories.get(number=1).passphrase in script
    assert "/var/lib/postgresql/15/main-restore/pgbackrest.conf" in command_of(script)


def test_a_store_that_was_detached_and_a_node_that_was_removed_can_be_restored_from(as_alice, cluster, stores, alice):
    actions.update_stores(cluster, stores=[stores[1]], by=alice)
    work(cluster)
    sources = of_cluster(Cluster.objects.with_node_setup().get(pk=cluster.pk))
    assert (sources[0].name, sources[0].needs_key) == ("archive-dub (repo1)", True)
    script = script_of(as_alice, cluster, where="folder")
    assert "ask 'Access key ID'" in script
    assert "s3-key-type" not in script
    cluster.nodes.get(name="n1").delete()
    page = text_of(asked(as_alice, cluster))
    assert "on a new machine" in page
    assert error_of(asked(as_alice, cluster, where="in_place"), "where")
    script_of(as_alice, cluster)


def test_a_repository_outlives_its_cluster(as_alice, as_bob_of_another, cluster, stores, alice):
    repository = cluster.repositories.get(number=1)
    KnownStanza.objects.create(
        repository=repository, node="n1", name="orders", postgresql="15", data_directory="/data/x", port=5433
    )
    Repository.objects.filter(pk=repository.pk).update(cluster=None)
    repository.attachment.delete()
    address = f"/clusters/repositories/{repository.pk}/restore"
    page = text_of(as_alice.get(f"{address}/"))
    assert "on a new machine" in page
    assert "/data/x-restored" in page
    assert repository.passphrase in as_alice.get(f"{address}.sh").content.decode()
    for rest in ("/", ".sh"):
        assert as_bob_of_another.get(address + rest).status_code == 404


@pytest.fixture
def as_bob_of_another(client, bob):
    from django.test import Client

    from console.accounts.models import Membership, Organisation

    other = Organisation.objects.create(name="Other", edition="enterprise")
    Membership.objects.filter(user=bob).delete()
    Membership.objects.create(user=bob, organisation=other, role="owner")
    visitor = Client()
    visitor.force_login(bob)
    return visitor


def test_an_organisation_sees_its_own_clusters_only(as_bob_of_another, cluster):
    for rest in ("restore/", "restore.sh"):
        assert as_bob_of_another.get(f"/clusters/{cluster.pk}/{rest}").status_code == 404


# What it refuses, and where it says so


@pytest.mark.parametrize(
    ("chosen", "field", "why"),
    [
        (
            {"target": "time", "time": "2026-10-22T01:00:59"},
            "time",
            "goes from 2026-10-22 01:01:00 to 2026-10-26 12:00:00 (UTC)",
        ),
        ({"target": "time", "time": "2026-10-26T12:00:01"}, "time", "Choose a time between"),
        ({"target": "time", "time": "2026-10-23T00:00:00", "backup": SECOND}, "time", "with this backup"),
        ({"target": "time", "time": "2026-10-25T02:30:00", "zone": "Europe/Berlin"}, "time", "showed 02:30 twice"),
        (
            {"target": "time", "time": "2026-10-25T02:30:00", "zone": "Europe/Berlin", "offset": "+05:00"},
            "time",
            "twice",
        ),
        ({"target": "time", "time": "2026-03-29T02:30:00", "zone": "Europe/Berlin"}, "time", "never showed 02:30"),
        ({"target": "time", "time": "yesterday"}, "time", "such as 2026-11-29"),
        ({"target": "time", "time": "0001-01-01T00:00:00+14:00"}, "time", "such as 2026-11-29"),
        ({"target": "time", "time": "2026-10-24T12:00", "zone": "Mars/Olympus"}, "zone", "no such time zone"),
        ({"target": "time", "time": "2026-10-24T12:00", "zone": "../../etc/passwd"}, "zone", "no such time zone"),
        ({"target": "time", "preview": "1"}, "time", "Give the time"),
        ({"target": "name", "point": "it's; rm -rf /"}, "point", "letters, digits"),
        ({"target": "name", "point": "x" * 64}, "point", "63"),
        ({"target": "lsn", "lsn": "3000148"}, "lsn", "0/3000148"),
        ({"target": "lsn", "lsn": "0/123456789"}, "lsn", "0/3000148"),
        ({"target": "xid", "xid": "2"}, "xid", "from 3"),
        ({"target": "xid", "xid": "4294967296"}, "xid", "4294967295"),
        ({"target": "xid", "xid": "٣٣"}, "xid", "from 3"),
        ({"target": "moon"}, "target", "moon"),
        ({"backup": "20200101-000000F"}, "backup", "There is no backup 20200101-000000F here"),
        ({"node": "n9"}, "node", "no node n9"),
        ({"stanza": "other"}, "stanza", "no database other"),
        ({"repository": "0"}, "repository", "nothing of it"),
        ({"timeline": "7"}, "timeline", "no such timeline"),
        ({"folder": "copies/today"}, "folder", "Give the whole path"),
        ({"folder": "/var/lib/../etc"}, "folder", "Give the whole path"),
        ({"folder": "/a\nb"}, "folder", "letters, digits"),
        ({"folder": "/var/lib/postgresql/15/main"}, "folder", "data directory of orders"),
        ({"folder": "/var/lib/postgresql/15/main/copy"}, "folder", "data directory of orders"),
        ({"folder": "/var/lib/postgresql"}, "folder", "data directory of orders"),
        ({"folder": "/" + "x" * 90}, "folder", "At most 80"),
        ({"port": "5432"}, "port", "orders listens on this port"),
        ({"port": "70000"}, "port", "from 1 to 65535"),
        ({"port": "port"}, "port", "from 1 to 65535"),
        ({"backup": PRIOR, "where": "in_place"}, "where", "before its last upgrade (PostgreSQL 13)"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(as_alice, cluster, chosen, field, why):
    assert why in error_of(asked(as_alice, cluster, **chosen), field)
    refused = script_of(as_alice, cluster, 422, **chosen)
    assert "pgbackrest" not in refused
    assert not AuditEvent.objects.filter(action__contains="restore script").exists()


def test_which_of_two_hours_is_asked(as_alice, cluster):
    chosen = {"target": "time", "time": "2026-10-25T02:30:00", "zone": "Europe/Berlin"}
    page = text_of(asked(as_alice, cluster, **chosen))
    assert [one for one in ("+02:00", "+01:00") if f'name="offset" value="{one}"' in page] == ["+02:00", "+01:00"]


def test_another_database_s_backup_is_refused_and_a_prior_one_says_which_postgresql(as_alice, cluster):
    page = text_of(asked(as_alice, cluster, backup=PRIOR))
    assert "<dt>PostgreSQL</dt><dd>13</dd>" in page
    assert "find_programs 13" in script_of(as_alice, cluster, backup=PRIOR, where="machine")
    state = stanza_state(
        backups=[backup(FOREIGN, 0, system_id=THEIRS)], system_id=THEIRS, history=[PastDatabase(2, THEIRS, "15")]
    )
    seen(cluster.repositories.get(number=1), state)
    assert "written by another database" in error_of(asked(as_alice, cluster, backup=FOREIGN), "backup")
    assert "the newest backup is not yours" in error_of(asked(as_alice, cluster), "backup")


def test_a_timeline_that_something_else_began_is_not_followed(as_alice, cluster):
    def timeline(number, *hours):
        began, last = ((DAY + timedelta(hours=one)).isoformat() for one in hours)
        first, name = (f"{number:08X}00000000000000{segment:02X}" for segment in (1, 10))
        return Timeline("15-2", number, first, name, last, 9, 2**20, name, first, began)

    state = stanza_state(timelines=[timeline(1, 0, 40), timeline(2, 20, 41)])
    seen(cluster.repositories.get(number=1), state)
    Stanza.objects.update(timeline=1, reported_at=DAY + timedelta(hours=41))
    assert "--target-timeline=1" in script_of(as_alice, cluster)
    page = text_of(asked(as_alice, cluster))
    assert "Something else writes to this archive" in page
    assert "--target-timeline=2" in script_of(as_alice, cluster, timeline="2")


@pytest.mark.parametrize(
    ("declared", "reported", "postgresql", "refused"),
    [
        ("", "2.45", "15", ""),
        ("", "2.44", "15", "2.45"),
        ("2.59", "2.59.1", "15", ""),
        ("2.59", "2.45", "15", "2.46"),
        ("", "2.45", "17", "2.52"),
        ("", "2.60", "18", ""),
    ],
)
def test_a_pgbackrest_that_is_too_old_is_refused(as_alice, cluster, declared, reported, postgresql, refused):
    cluster.nodes.filter(name="n1").update(pgbackrest_version=declared, applied_version=reported)
    seen(cluster.repositories.get(number=1), replace(stanza_state(), postgresql=postgresql))
    answer = asked(as_alice, cluster, where="folder")
    if refused:
        assert f"need {refused} or newer" in error_of(answer, "where")
    assert asked(as_alice, cluster, where="machine").status_code == 200
    assert (answer.status_code == 200) == (not refused)


def test_a_choice_that_changes_another_is_no_error(as_alice, cluster):
    """With scripts the page follows each change: what does not fit any more is chosen anew."""
    seen(cluster.repositories.get(number=2), stanza_state(node="n2", stanza="orders", backups=[backup(SECOND, 2)]))
    answer = asked(as_alice, cluster, HTMX, node="n2", repository=cluster.repositories.get(number=1).pk, backup=FULL)
    assert answer.status_code == 200
    assert "archive-iad" in text_of(answer)
    for kind in ("time", "name", "lsn", "xid"):
        answer = asked(as_alice, cluster, HTMX, target=kind)
        assert (answer.status_code, "What to run will appear here" in text_of(answer)) == (200, True)
    assert asked(as_alice, cluster, HTMX, target="time", time="2020-01-01T00:00").status_code == 422


def test_a_store_that_could_not_be_read_is_still_offered(as_alice, cluster):
    repository = cluster.repositories.get(number=1)
    Inventory.objects.filter(repository=repository).update(content=[], read_at=None, error="It is out of reach.")
    KnownStanza.objects.create(repository=repository, node="n1", name="orders", postgresql="15")
    page = text_of(asked(as_alice, cluster))
    assert "It was not looked into yet" in page
    assert "Which backup it begins with is not known" in page
    script_of(as_alice, cluster)
    Inventory.objects.filter(repository=repository).delete()
    KnownStanza.objects.all().delete()
    assert "There is nothing to restore" in text_of(asked(as_alice, cluster))
    script_of(as_alice, cluster, 422)


def test_a_viewer_sees_the_steps_and_gets_no_script(client, acme, cluster):
    client.force_login(factories.user("vera", acme, role="viewer"))
    page = text_of(asked(client, cluster))
    assert ("sudo sh restore-orders-of-n1.sh" in page, "Download the script" in page) == (True, False)
    assert client.get(f"/clusters/{cluster.pk}/restore.sh").status_code == 403


TEXT = st.text(max_size=100) | st.sampled_from(
    [
        "",
        "1",
        "$(touch /x)",
        "`id`",
        "'; touch /x; '",
        "a\nb",
        "--force",
        "0/1",
        "time",
        "name",
        "latest",
        "2026-10-24T12:00",
        "in_place",
    ]
)


NAMES = ("node", "stanza", "repository", "backup", "target", "time", "zone", "offset", "point", "lsn", "xid")
# What the grammar of paths lets pass, and means something to a shell.
FOLDERS = st.text("ab $'\";`()&|<>*?\\-~!{}[]", min_size=1, max_size=20).map(lambda text: f"/srv/{text}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.one_of(
        st.dictionaries(st.sampled_from((*NAMES, "timeline", "where", "folder", "port")), TEXT),
        st.fixed_dictionaries({"folder": FOLDERS, "where": st.just("machine")}),
    )
)
def test_nothing_that_is_entered_gets_out_of_its_quotes(as_alice, cluster, chosen):
    """Whatever a script holds, a shell reads the same words that were chosen, or there is no script."""
    import subprocess

    chosen = {key: value.encode(errors="replace").decode() for key, value in chosen.items()}
    answer = as_alice.get(f"/clusters/{cluster.pk}/restore.sh?{urlencode(chosen)}")
    assert answer.status_code in {200, 422}
    assert asked(as_alice, cluster, **chosen).status_code in {200, 422}
    if answer.status_code == 200:
        command = command_of(answer.content.decode())
        words = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert (words[0], words[-1]) == ("pgbackrest", "restore")
        assert all(word.startswith("--") for word in words[1:-1]), words
