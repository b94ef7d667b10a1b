"""The files that a set-up script put on a node's machine before each cluster had places of its own."""

from __future__ import annotations

from tests.node_machine import Machine

UNITS = "/etc/systemd/system/pgbackrest"
UNIT = "# Made by Storekeeper\n[Unit]\nDescription=x\n\n"
BACKUP = "-/usr/bin/pgbackrest --stanza=main --repo=1 --type=full backup"


def of_node(cluster: str, node: str) -> dict[str, str]:
    """Return each file by its path, but for the schedule."""
    ours = "/etc/pgbackrest"
    return {
        f"{ours}/pgbackrest.conf": f"# {cluster}, node {node}: made by Storekeeper for pgBackRest 2.45 or newer.\n"
        f"[global]\nrepo1-storage-ca-file={ours}/repo1-ca.pem\nrepo1-gcs-key={ours}/repo1-gcs-1234.json\n",
        f"{ours}/left.conf": f"# {cluster}, node {node}: repositories that it writes to no more, and goes on to "
        f"expire.\n[global]\nrepo2-storage-ca-file={ours}/repo2-ca.pem\n",
        f"{ours}/report.sh": "#!/bin/sh\n# Tells Storekeeper which pgBackRest configuration this node has.\ntrue\n",
        f"{ours}/repo1-ca.pem": "a certificate\n",
        f"{ours}/repo2-ca.pem": "a certificate\n",
        f"{ours}/repo1-gcs-1234.json": "{}\n",
    }


def crontab(cluster: str) -> dict[str, str]:
    """Return the schedule for cron."""
    return {
        "/etc/cron.d/pgbackrest": f"# Backups of {cluster}, by the clock of this node\n"
        "0 1 * * 0 postgres pgbackrest --stanza=main --repo=1 --type=full backup\n"
        "40 4 * * * postgres pgbackrest --config=/etc/pgbackrest/left.conf --stanza=main expire\n"
        "*/5 * * * * postgres /etc/pgbackrest/report.sh >/dev/null\n"
    }


def units() -> dict[str, str]:
    """Return the same for systemd."""
    runs = {
        "main-full": BACKUP,
        "left": "-/usr/bin/pgbackrest --config=/etc/pgbackrest/left.conf --stanza=main expire",
        "report": "/etc/pgbackrest/report.sh",
    }
    found = {}
    for name, command in runs.items():
        found[f"{UNITS}-{name}.service"] = f"{UNIT}[Service]\nType=oneshot\nUser=postgres\nExecStart={command}\n"
        found[f"{UNITS}-{name}.timer"] = f"{UNIT}[Timer]\nOnCalendar=*:0/5\n\n[Install]\nWantedBy=timers.target\n"
    return found


EARLIER = ("/etc/pgbackrest", *of_node("", ""), *crontab(""), *units())


def earlier_files(machine: Machine, cluster: str, node: str, *, timers: bool = False) -> None:
    """Put them on the machine, as they were."""
    for path, content in {**of_node(cluster, node), **(units() if timers else crontab(cluster))}.items():
        machine.place(path).parent.mkdir(exist_ok=True)
        machine.place(path).write_text(content)
