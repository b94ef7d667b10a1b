"""What the console is told of a node's machine, and what follows from it in files and commands."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from clusters.models import Database, NodeDatabase
from clusters.pgbackrest.layout import SLUG_AT_MOST, Layout, called, slug
from console.audit.models import AuditEvent
from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec, AccountRef
from tests.clusters.nodes import at, node_setup
from tests.responses import HTMX, text_of

MACHINE = {"system": "debian", "os_user": "postgres"}


def commands(cluster):
    return "\n".join(one.text for one in node_setup(cluster).commands)


@pytest.mark.parametrize(
    ("machine", "restart", "psql"),
    [
        ({}, "sudo systemctl restart postgresql@15-main", "sudo -u postgres psql -p 5432"),
        (
            {"orders.data_directory": "/srv/pg"},
            "sudo -u postgres /usr/lib/postgresql/15/bin/pg_ctl -D /srv/pg -l /srv/pg/pg_ctl.log -w restart",
            "sudo -u postgres psql -p 5432",
        ),
        (
            {"system": "rpm", "orders.data_directory": "/var/lib/pgsql/15/data", "orders.port": "5433"},
            "sudo systemctl restart postgresql-15",
            "sudo -u postgres /usr/pgsql-15/bin/psql -p 5433",
        ),
        (
            {"system": "rpm", "os_user": "pgowner", "orders.data_directory": "/srv/a b"},
            "sudo -u pgowner /usr/pgsql-15/bin/pg_ctl -D '/srv/a b' -l '/srv/a b/pg_ctl.log' -w restart",
            "sudo -u pgowner /usr/pgsql-15/bin/psql -p 5432",
        ),
        ({"system": "other", "orders.service": "pg@orders"}, "sudo systemctl restart pg@orders", "psql -p 5432"),
        (
            {"system": "other", "orders.data_directory": "/srv/pg"},
            "sudo -u postgres pg_ctl -D /srv/pg -l /srv/pg/pg_ctl.log -w restart",
            "psql -p 5432",
        ),
    ],
)
def test_what_a_machine_is_like_is_in_its_files_and_commands(as_alice, cluster, machine, restart, psql):
    answer = as_alice.post(at(cluster, "machine/"), {**MACHINE, **machine}, headers=HTMX)
    assert answer.status_code == 204, text_of(answer)
    assert restart in commands(cluster).splitlines()
    assert psql in commands(cluster)
    found = node_setup(cluster)
    user = machine.get("os_user", "postgres")
    assert f"0 1 * * 0 {user} " in found.crontab.content
    directory = machine.get("orders.data_directory", "/var/lib/postgresql/15/main")
    assert f"\npg1-path={directory}\npg1-port={machine.get('orders.port', 5432)}\n" in found.masked
    assert f"sudo -u {user} " in found.drills[0].text
    assert node_setup(cluster, "n2").layout.user == "postgres"
    event = AuditEvent.objects.get(action="Said what a node's machine is like")
    assert event.after["os_user"] == user
    shown = as_alice.get(at(cluster, "machine/"), headers=HTMX).content.decode()
    assert all(f'value="{value}"' in shown for name, value in machine.items() if name != "system")


def test_what_is_as_in_the_cluster_is_no_difference(as_alice, cluster):
    same = {"orders.data_directory": "/var/lib/postgresql/15/main/", "orders.port": "5432", "orders.service": ""}
    as_alice.post(at(cluster, "machine/"), {**MACHINE, **same}, headers=HTMX)
    assert not NodeDatabase.objects.exists()


@pytest.mark.parametrize(
    ("given", "field", "why"),
    [
        ({"os_user": "root"}, "os_user", "Give the user that PostgreSQL runs as"),
        ({"os_user": "a b"}, "os_user", "Give the user that PostgreSQL runs as"),
        ({"os_user": ""}, "os_user", "required"),
        ({"system": "bsd"}, "system", "bsd"),
        ({"orders.data_directory": "data"}, "orders.data_directory", "Give the whole path"),
        ({"orders.data_directory": "/a//b"}, "orders.data_directory", "with one / between"),
        ({"orders.data_directory": "/a\N{NO-BREAK SPACE}b"}, "orders.data_directory", "no-break space"),
        ({"orders.port": "70000"}, "orders.port", "65535"),
        ({"orders.port": "0"}, "orders.port", "greater than or equal to 1"),
        ({"orders.service": "a; reboot"}, "orders.service", "as systemctl status names it"),
        ({"orders.port": "5433"}, "orders.port", "second listens on this port of n1"),
        ({"second.port": "5432"}, "second.port", "orders listens on this port of n1"),
        ({"second.data_directory": "/var/lib/postgresql/15/main/"}, "second.data_directory", "orders has this data"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(as_alice, cluster, given, field, why):
    Database.objects.create(cluster=cluster, name="second", version="15", data_directory="/srv/second", port=5433)
    answer = as_alice.post(at(cluster, "machine/"), {**MACHINE, **given}, headers=HTMX)
    page = text_of(answer)
    assert answer.status_code == 422
    assert why in page[page.index(f'id="id_{field}_error"') :][:400]
    assert not NodeDatabase.objects.exists()
    assert node_setup(cluster).layout.user == "postgres"


def test_two_databases_of_a_node_may_change_their_ports(as_alice, cluster):
    Database.objects.create(cluster=cluster, name="second", version="15", data_directory="/srv/second", port=5433)
    given = {"orders.port": "5433", "second.port": "5432"}
    assert as_alice.post(at(cluster, "machine/"), {**MACHINE, **given}, headers=HTMX).status_code == 204
    new = {"name": "third", "version": "15", "data_directory": "/srv/third", "port": "5433"}
    NodeDatabase.objects.filter(port=5432).update(port=6000)
    Database.objects.filter(name="second").update(port=6001)
    answer = as_alice.post(f"/clusters/{cluster.pk}/databases/add/", new, headers=HTMX)
    assert (answer.status_code, "On n1, orders listens on this port." in text_of(answer)) == (422, True)


def test_machines_are_for_managers_of_this_organisation(client, cluster, bob, charlie):
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        for ask in (client.get, client.post):
            assert ask(at(cluster, "machine/"), MACHINE).status_code == status


# Names of places


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("Orders (EU) / 2", "orders-eu-2"),
        ("備份", "cluster"),
        ("-", "cluster"),
        ("x" * 60, "x" * 20),
        ("nineteen-characters-and", "nineteen-characters"),
        ("Zoë's $(id) `id`", "zo-s-id-id"),
        ("../../etc", "etc"),
    ],
)
def test_what_is_left_of_a_cluster_s_name(name, expected):
    assert slug(name) == expected
    assert len(slug(name)) <= SLUG_AT_MOST


def test_clusters_of_the_same_name_have_places_of_their_own(make, stores):
    one, two = make(stores), make((), name="Orders 2")
    assert one.called == called("orders", one.prefix) == f"orders-{one.prefix[-4:]}"
    ours, theirs = Layout(one.called), Layout(two.called)
    for place in ("folder", "spool", "locks", "left_locks", "logs", "crontab", "rotation", "undo"):
        assert getattr(ours, place) != getattr(theirs, place)
    assert ours.unit("report") != theirs.unit("report")


# Order


def test_steps_are_in_the_order_in_which_they_work(as_alice, cluster):
    page = text_of(as_alice.get(at(cluster)))
    name = f"{cluster.called}-n1-setup.sh"
    order = [
        "aws ec2 associate-iam-instance-profile --region eu-west-1",
        f"scp {name} n1:",
        f"sudo sh {name}",
        f"rm {name}",
        "--stanza=orders stanza-create",
        "ALTER SYSTEM SET archive_mode = on",
        "systemctl restart postgresql@15-main",
        "--stanza=orders check",
        "--type=full backup",
        f"sudo -u postgres {Layout(cluster.called).report}",
    ]
    found = [page.index(one, page.index("What to run on n1")) for one in order]
    assert found == sorted(found)
    assert "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#Instances:" in page


def test_the_script_is_copied_to_where_the_node_is_reached(cluster):
    cluster.nodes.filter(name="n1").update(address="2001:db8::7")
    assert node_setup(cluster).copy_setup.endswith("setup.sh [2001:db8::7]:")


def test_removing_a_database_says_what_to_run_and_when(as_alice, cluster):
    page = text_of(as_alice.get(f"/clusters/{cluster.pk}/databases/orders/remove/", headers=HTMX))
    for node in ("n1", "n2", "n3"):
        assert f"What to run on {node}" in page
    order = ["ALTER SYSTEM RESET archive_command", "systemctl restart postgresql@15-main", "stanza-delete", "setup.sh"]
    found = [page.index(one, page.index("What to run on n1")) for one in order]
    assert found == sorted(found)
    assert "add it under the new name first" in page


# The console's own address


def test_nodes_report_to_the_address_that_the_operator_gave(as_alice, cluster, settings):
    settings.PUBLIC_URL = "https://console.example.org/storekeeper"
    settings.PUBLIC_CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    script = as_alice.get(at(cluster, "setup.sh")).content.decode()
    assert f"https://console.example.org/storekeeper{at(cluster, 'applied/')}" in script
    assert "http://testserver" not in script
    ca_file = Layout(cluster.called).console_ca
    assert f"put_ours root:root 644 {ca_file} " in script
    report = node_setup(cluster).report("https://console.example.org/")
    assert ca_file in report.content
    settings.PUBLIC_CA = ""
    assert ca_file not in node_setup(cluster).report("https://console.example.org/").content


# What a machine needs in its cloud first


@pytest.mark.parametrize(
    ("cloud", "partition", "given", "commands", "hosts"),
    [
        ("aws", "aws", {}, ["--iam-instance-profile Name=pgbk-c-abc", "meta-data/iam/"], ["r1.console.aws.amazon.com"]),
        ("aws", "aws-cn", {}, ["--region r1 --instance-id INSTANCE_ID", "http://169"], ["r1.console.amazonaws.cn"]),
        ("aws", "aws-of-tomorrow", {}, ["associate-iam-instance-profile", "X-aws-ec2-metadata-token"], []),
        ("azure", "", {"node_access": "identity"}, ["az vm identity assign --subscription 1234"], ["portal.azure.com"]),
        ("azure", "", {"node_access": "sas"}, [], []),
        ("google", "", {"node_access": "attached"}, ["--zone r1-ZONE --service-account"], ["console.cloud.google.com"]),
        ("google", "", {"node_access": "key"}, [], []),
        ("s3", "", {}, [], []),
    ],
)
def test_machines_that_sign_in_themselves_are_given_what_they_sign_in_with(cloud, partition, given, commands, hosts):
    account = AccountRef(UUID(int=1), "1234", partition, {"resource_group": "backups", **given}, {})
    spec = AccessSpec(UUID(int=2), "orders", account, "c-abc", ())
    found = CLOUDS[cloud].access.machine_steps(spec, "r1")
    assert len(found) == len(commands)
    for step, part in zip(found, commands, strict=True):
        assert part in step.command
        subprocess.run(["sh", "-nc", step.command], check=True)
    assert [urlsplit(one.link).hostname for one in found if one.link] == hosts
