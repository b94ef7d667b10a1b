"""One node in the browser's words, and what it says itself."""

from __future__ import annotations

import hashlib
import re
import time

import pytest

from clusters import actions
from clusters.models import BackupPolicy, Cluster, Database, Node
from clusters.node_setup import node_setups
from console.audit.models import AuditEvent
from tests import factories
from tests.clusters.conftest import work
from tests.clusters.nodes import POLICY, at, node_setup
from tests.clusters.pgbackrest.configuration_file import options
from tests.responses import HTMX, text_of

# Which node writes where


def test_nodes_write_to_their_nearest_store(cluster):
    found = {one.node.name: [target.store for target in one.configuration.targets] for one in node_setups(cluster)}
    assert found == {
        "n1": ["archive-dub, eu-west-1"],
        "n2": ["archive-iad, us-east-1"],
        "n3": ["archive-dub, eu-west-1"],
    }


def test_matrix_shows_who_writes_where(as_alice, cluster):
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    matrix = page[page.index('<table class="matrix">') :]
    rows = [row.count('class="writes"') for row in matrix[: matrix.index("</table>")].split("<tr>")[2:]]
    assert rows == [1, 1, 1]


def test_node_stores_adds_a_store_and_says_what_it_costs(as_alice, cluster, stores):
    dialog = text_of(as_alice.get(at(cluster, "backup-stores/"), headers=HTMX))
    assert "Every WAL segment goes to each" in dialog
    assert "cannot be reached" in dialog
    costs = dialog[dialog.index("What another store costs") :]
    assert ("archive-iad: 5,4" in costs, "archive-dub: " in costs) == (True, False)  # Dublin is n1's nearest
    answer = as_alice.post(
        at(cluster, "backup-stores/"), {"backup_stores": [str(store.pk) for store in stores]}, headers=HTMX
    )
    assert answer.status_code == 204
    assert node_setup(cluster).numbers == [1, 2]
    assert node_setup(cluster, "n2").numbers == [2]


def test_node_stores_follows_all_or_the_nearest_again(as_alice, cluster, account, alice):
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "all"}, headers=HTMX)
    third = factories.store(account, name="archive-fra", region="eu-central-1")
    actions.update_stores(cluster, stores=[*cluster.stores.all(), third], by=alice)
    work(cluster)
    assert node_setup(cluster).numbers == [1, 2, 3]
    assert node_setup(cluster, "n3").numbers == [3]  # which follows its nearest one
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "nearest"}, headers=HTMX)
    assert node_setup(cluster).numbers == [1]


def test_node_stores_refuses_none_and_strangers(as_alice, cluster, account):
    other = factories.store(account, name="unattached", region="eu-central-1")
    for data, why in (
        ({"backup_stores": []}, "at least one"),
        ({"backup_stores": [str(other.pk)]}, "not attached"),
        ({"backup_stores": ["nonsense"]}, "not a backup store"),
        ({"choice": "sideways"}, "sideways"),
    ):
        answer = as_alice.post(at(cluster, "backup-stores/"), data, headers=HTMX)
        assert (answer.status_code, why in text_of(answer)) == (422, True), data
    assert node_setup(cluster).numbers == [1]


def test_a_node_whose_chosen_store_is_detached_falls_back_to_its_nearest(cluster, stores, alice):
    node = Node.objects.get(cluster=cluster, name="n1")
    actions.write_to(node, choice="chosen", stores=[stores[1]], by=None)
    assert node_setup(cluster).numbers == [2]
    actions.update_stores(cluster, stores=[stores[0]], by=alice)
    assert node_setup(cluster).numbers == [1]  # at once: what is going is not handed out any more
    work(cluster)
    assert node_setup(cluster).numbers == [1]
    node.refresh_from_db()
    assert node.writes_to == "nearest"


# Retention and schedules


def test_policy_of_the_cluster_counts_for_nodes_that_have_none(as_alice, cluster):
    url = f"/clusters/{cluster.pk}/policy/"
    assert as_alice.get(url, headers=HTMX).status_code == 200
    answer = as_alice.post(url, {**POLICY, "retention_type": "count", "retention_full": "3"}, headers=HTMX)
    assert answer.status_code == 204
    answer = as_alice.post(at(cluster, "policy/"), {**POLICY, "retention_full": "30"}, headers=HTMX)
    assert answer.status_code == 204
    kept = {
        one.node.name: (one.policy.retention_type, one.policy.retention_full)
        for one in node_setups(Cluster.objects.with_node_setup().get(pk=cluster.pk))
    }
    assert kept == {"n1": ("time", 30), "n2": ("count", 3), "n3": ("count", 3)}
    assert "repo1-retention-full=30" in node_setup(cluster).masked
    as_alice.post(at(cluster, "policy/"), {"follow": "1"}, headers=HTMX)
    assert node_setup(cluster).policy.retention_full == 3
    assert BackupPolicy.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"full_schedule": "0 0 31 2 *"}, "full_schedule", "never comes"),
        ({"full_schedule": "tomorrow"}, "full_schedule", "five fields"),
        ({"incr_schedule": "5/15 * * * *"}, "incr_schedule", "A step follows"),
        ({"diff_schedule": "0 1 * * 8"}, "diff_schedule", "8 is no day of the week"),
        ({"incr_schedule": "0 1 * * sat-sun"}, "incr_schedule", "from the lower to the higher"),
        ({"full_schedule": ""}, "full_schedule", "Plan full backups too"),
        ({"retention_full": "0"}, "retention_full", "greater than or equal to 1"),
        ({"retention_full": "99999999999999999999"}, "retention_full", "less than or equal"),
        ({"retention_type": "moons"}, "retention_type", "moons"),
    ],
)
def test_policy_refuses_what_would_not_work(as_alice, cluster, change, field, why):
    answer = as_alice.post(f"/clusters/{cluster.pk}/policy/", {**POLICY, **change}, headers=HTMX)
    page = text_of(answer)
    assert answer.status_code == 422
    assert why in page[page.index(f'id="id_{field}_error"') :]
    assert not BackupPolicy.objects.exists()


def test_backups_that_meet_are_taken_since_they_queue(as_alice, cluster):
    url = f"/clusters/{cluster.pk}/policy/"
    assert "run one after the other" in text_of(as_alice.get(url))
    answer = as_alice.post(url, {**POLICY, "diff_schedule": POLICY["full_schedule"]}, headers=HTMX)
    assert answer.status_code == 204


def test_node_page_says_when_backups_run(as_alice, cluster):
    page = text_of(as_alice.get(at(cluster)))
    assert "At 01:00 on Sunday" in page
    assert page.count("next:") == 2
    assert "by the node's own clock" in page


def test_pages_say_the_time_zone_that_nodes_have_reported_and_what_its_changes_do(as_alice, cluster):
    as_alice.post(f"/clusters/{cluster.pk}/policy/", {**POLICY, "full_schedule": "30 2 * * *"}, headers=HTMX)
    cluster.nodes.filter(name="n1").update(status={"timezone": "Europe/Berlin"})
    pages = (at(cluster), at(cluster, "policy/"))
    for path in pages:
        page = text_of(as_alice.get(path))
        assert "by the clock of the nodes: Europe/Berlin" in page
        assert "cron makes 02:30 right after it; a systemd timer leaves it out." in page
    # The others have not said: the cluster's page has no zone for all.
    assert "by the node's own clock" in text_of(as_alice.get(cluster.get_absolute_url()))
    cluster.nodes.update(status={"timezone": "Europe/Berlin"})
    for path in (cluster.get_absolute_url(), f"/clusters/{cluster.pk}/policy/"):
        assert "by the clock of the nodes: Europe/Berlin" in text_of(as_alice.get(path))
    cluster.nodes.update(status={"timezone": "../../etc/passwd"})
    assert "by the node's own clock" in text_of(as_alice.get(at(cluster)))


# What is handed over


def test_configuration_is_the_whole_file_and_its_digest_is_shown(as_alice, cluster):
    answer = as_alice.get(at(cluster, "pgbackrest.conf"))
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "no-store" in answer["Cache-Control"]
    found = options(answer.content.decode())
    assert found["repo1-path"] == f"{cluster.repository_path}/n1"
    assert len(found["repo1-cipher-pass"]) == 64
    assert found["pg1-port"] == "5432"
    assert hashlib.sha256(answer.content).hexdigest() in text_of(as_alice.get(at(cluster)))


def test_passphrases_differ_and_stay(cluster, alice, stores):
    first = [one.secrets["cipher_pass"] for one in cluster.repositories.order_by("number")]
    assert len(set(first)) == 2
    actions.update_stores(cluster, stores=[], by=alice)
    work(cluster)
    actions.update_stores(cluster, stores=stores, by=alice)
    work(cluster)
    assert [one.secrets["cipher_pass"] for one in cluster.repositories.order_by("number")] == first


def test_secrets_are_on_no_page(as_alice, cluster):
    secrets = [one.secrets["cipher_pass"] for one in cluster.repositories.all()]
    secrets += [one.secrets["report_token"] for one in cluster.nodes.all()]
    for path in (cluster.get_absolute_url(), at(cluster), at(cluster, "crontab"), at(cluster, "timers.sh")):
        page = as_alice.get(path).content.decode()
        assert not [secret for secret in secrets if secret in page], path


@pytest.mark.parametrize("path", ["pgbackrest.conf", "setup.sh", "files/"])
def test_secrets_are_shown_after_the_password_and_written_down(as_alice, cluster, path):
    session = as_alice.session
    session["confirmed_at"] = time.time() - 3600
    session.save()
    answer = as_alice.get(at(cluster, path))
    assert (answer.status_code, answer["Location"]) == (302, f"/confirm/?next={at(cluster, path)}")
    shows = AuditEvent.objects.filter(action__startswith="Was shown")
    assert not shows.exists()
    wrong = as_alice.post("/confirm/", {"password": "wrong", "next": at(cluster, path)}, headers=HTMX)
    assert (wrong.status_code, "not your password" in text_of(wrong)) == (422, True)
    assert as_alice.get(at(cluster, path)).status_code == 302
    right = as_alice.post("/confirm/", {"password": "secret", "next": at(cluster, path)})
    if path == "files/":
        assert (right.status_code, right["Location"]) == (302, at(cluster, path))
    else:  # a file: the page stays that the browser saves it from
        assert (right.status_code, right["Location"]) == (302, f"/confirm/?next={at(cluster, path)}")
        assert as_alice.get(right["Location"])["Refresh"] == f"0; url={at(cluster, path)}"
    shown = as_alice.get(at(cluster, path))
    passphrase = cluster.repositories.get(number=1).secrets["cipher_pass"]
    assert passphrase in shown.content.decode()
    event = shows.get()
    node = cluster.nodes.get(name="n1")
    assert (event.actor_name, event.subject, event.subject_id) == ("alice", str(node), str(node.pk))
    assert passphrase not in event.action


def test_confirm_goes_nowhere_else(as_alice):
    for elsewhere in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        answer = as_alice.post("/confirm/", {"password": "secret", "next": elsewhere})
        assert answer["Location"] == "/"


def test_secrets_are_for_managers_of_this_organisation(client, cluster, bob, charlie):
    for path in ("pgbackrest.conf", "setup.sh", "files/"):
        for person, status in ((bob, 403), (charlie, 404)):
            client.force_login(person)
            assert client.get(at(cluster, path)).status_code == status
    client.force_login(bob)
    assert client.get(at(cluster)).status_code == 200
    assert "Show with secrets" not in text_of(client.get(at(cluster)))
    client.force_login(charlie)
    for path in ("", "backup-stores/", "policy/", "edit/", "crontab"):
        assert client.get(at(cluster, path)).status_code == 404


@pytest.mark.parametrize("path", ["backup-stores/", "policy/", "edit/", "token/"])
def test_viewers_change_nothing(client, cluster, bob, path):
    client.force_login(bob)
    before = node_setup(cluster).sha256
    assert client.post(at(cluster, path), {**POLICY, "choice": "all"}, headers=HTMX).status_code == 403
    assert node_setup(cluster).sha256 == before


def test_nothing_is_handed_over_that_would_back_up_to_a_local_disk(as_alice, make):
    bare = make()
    answer = as_alice.get(at(bare, "pgbackrest.conf"))
    assert (answer.status_code, b"a backup store first" in answer.content) == (409, True)
    assert "Update Backup Stores" in text_of(as_alice.get(at(bare)))
    assert as_alice.get(at(bare, name="n9")).status_code == 404


def test_setup_script_writes_every_file(as_alice, cluster, tmp_path):
    script = as_alice.get(at(cluster, "setup.sh")).content.decode()
    written = re.findall(r"^put_ours \S+ \S+ (\S+) [0-9a-f]{64} <<'END_OF_FILE'$", script, re.MULTILINE)
    layout = node_setup(cluster).layout
    assert written == [layout.configuration, layout.backup, layout.report, layout.undo, layout.crontab]
    assert node_setup(cluster).configuration.render(secrets=True) in script
    assert "http://testserver" + at(cluster, "applied/") in script


def test_a_schedule_is_installed_once_and_an_older_one_goes(as_alice, cluster, machine, tmp_path):
    def script(name):
        return as_alice.get(at(cluster, name)).content.decode()

    called = cluster.called
    crontab, units = tmp_path / f"etc/cron.d/pgbackrest-{called}", tmp_path / "etc/systemd/system"
    (units / "pgbackrest-mine.timer").write_text("[Timer]\n")
    assert machine(script("setup.sh"))[-1] == "Storekeeper: n1 has its files."
    assert ">/dev/null" in crontab.read_text().splitlines()[-1]  # else cron would send a mail every five minutes
    timers = [f"pgbackrest-{called}-{name}.timer" for name in ("orders-full", "orders-incr", "report")]
    ran = machine(script("timers.sh"))
    assert ran[-4:-1] == ["daemon-reload", f"enable {' '.join(timers)}", f"restart {' '.join(timers)}"]
    assert not crontab.exists()
    # A new file is brought, and the schedule stays with the timers.
    assert machine(script("setup.sh")) == ["Storekeeper: n1 is in order, and nothing was changed."]
    as_alice.post(f"/clusters/{cluster.pk}/policy/", {**POLICY, "incr_schedule": ""}, headers=HTMX)
    said = machine(script("setup.sh"))
    assert f"run {called}-n1-timers.sh too." in "\n".join(said)
    assert not crontab.exists()
    assert f"disable --now {timers[1]}" in machine(script("timers.sh"))
    assert sorted(path.name for path in units.glob("*.timer")) == ["pgbackrest-mine.timer", timers[0], timers[2]]
    assert not (units / timers[1].replace(".timer", ".service")).exists()


def test_node_version_changes_the_file(as_alice, cluster):
    assert "repo1-block" not in node_setup(cluster).masked
    assert as_alice.post(at(cluster, "edit/"), {"pgbackrest_version": "2.59"}, headers=HTMX).status_code == 204
    assert "repo1-block=y" in node_setup(cluster).masked
    assert as_alice.post(at(cluster, "edit/"), {"pgbackrest_version": "1.0"}, headers=HTMX).status_code == 422


def test_a_database_cannot_have_the_name_of_a_section(as_alice, cluster):
    data = {"name": "global", "version": "15", "data_directory": "/data", "port": "5433"}
    answer = as_alice.post(f"/clusters/{cluster.pk}/databases/add/", data, headers=HTMX)
    assert (answer.status_code, "keeps the name global for itself" in text_of(answer)) == (422, True)


# A server that makes no keys


@pytest.fixture
def by_hand(acme, make, alice):
    """A cluster on a server without users that the console could make, with a store."""
    account = factories.server(acme, has="")
    store = factories.store(account, name="cellar", region="us-east-1")
    made = make([store], name="cellar", regions=["us-east-1"], account=account)
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/data", port=5432)
    return made


def test_key_is_entered_where_the_server_makes_none(as_alice, by_hand):
    url = f"/clusters/{by_hand.pk}/key/"
    page = text_of(as_alice.get(by_hand.get_absolute_url()))
    assert url in page
    assert "has no key for the nodes yet" in text_of(as_alice.get(at(by_hand)))
    assert f"{by_hand.prefix}/*" in text_of(as_alice.get(url, headers=HTMX))
    for data in ({}, {"access_key_id": "AK"}, {"access_key_id": "A\nK", "secret_access_key": "S K"}):
        assert as_alice.post(url, data, headers=HTMX).status_code == 422
    entered = {"access_key_id": "AK-HAND", "secret_access_key": "S3CRET", "save_anyway": "on"}  # there is no server
    answer = as_alice.post(url, entered, headers=HTMX)
    assert answer.status_code == 204
    assert AuditEvent.objects.filter(action="Entered the nodes' key").count() == 1
    found = options(as_alice.get(at(by_hand, "pgbackrest.conf")).content.decode())
    assert (found["repo1-s3-key"], found["repo1-s3-key-secret"]) == ("AK-HAND", "S3CRET")
    for path in (by_hand.get_absolute_url(), at(by_hand), url):
        assert "S3CRET" not in as_alice.get(path).content.decode()
    assert "has no key" not in text_of(as_alice.get(at(by_hand)))


def test_key_is_not_asked_for_elsewhere(as_alice, client, cluster, by_hand, bob):
    assert as_alice.get(f"/clusters/{cluster.pk}/key/").status_code == 404
    assert f"/clusters/{cluster.pk}/key/" not in text_of(as_alice.get(cluster.get_absolute_url()))
    client.force_login(bob)
    assert client.get(f"/clusters/{by_hand.pk}/key/").status_code == 403


def test_downloads_that_may_ask_for_the_password_are_no_download_links(as_alice, cluster):
    page = text_of(as_alice.get(at(cluster)))
    for name in ("setup.sh", "pgbackrest.conf"):
        assert f'{name}"' in page
        assert f'{name}" download' not in page  # else the browser saves the page that asks
