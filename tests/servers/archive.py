"""A database that pgBackRest backs up into a store and restores from it, with the options that the console gives."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from tests.clouds.contract.running import PREFIX
from tests.pgbackrest_node import Node


class Archive:
    """One database with a configuration of pgBackRest in a folder of its own; for the length of a block. Needs root."""

    def __init__(self, folder: Path, repository):
        self.node, self.repository = Node(), repository
        self.restored = self.node.folder / "restored"
        self.file = self.node.folder / "pgbackrest.conf"

    def __enter__(self):
        below, options = self.node.folder, dict(self.repository.options)
        if self.repository.ca_certificate:
            ca_file = below / "ca.pem"
            ca_file.write_text(self.repository.ca_certificate)
            options["storage-ca-file"] = str(ca_file)
        for name in ("log", "lock", "spool"):
            (below / name).mkdir()
            os.chown(below / name, self.node.owner.pw_uid, self.node.owner.pw_gid)
        rows = {f"repo1-{name}": value for name, value in options.items()}
        rows |= {
            "repo1-path": f"/{PREFIX}/n2",
            "repo1-cipher-type": "aes-256-cbc",
            "repo1-cipher-pass": "correct-horse",
            "log-path": below / "log",
            "lock-path": below / "lock",
            "spool-path": below / "spool",
            "log-level-console": "warn",
            "io-timeout": 300,  # a server on a machine that does other things, too
            "start-fast": "y",
            "compress-type": "none",
        }
        stanza = {"pg1-path": self.node.data, "pg1-port": self.node.port, "pg1-socket-path": "/var/run/postgresql"}
        text = [f"{name}={value}" for name, value in rows.items()]
        text += ["[main]", *(f"{name}={value}" for name, value in stanza.items())]
        self.file.write_text("\n".join(["[global]", *text]) + "\n")
        os.chown(self.file, self.node.owner.pw_uid, self.node.owner.pw_gid)
        command = f"pgbackrest --config={self.file} --stanza=main archive-push %p"
        with (self.node.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"archive_mode = on\narchive_command = '{command}'\n")
        return self

    def __exit__(self, *_):
        self.node.stop(self.restored, "immediate")
        self.node.remove()
        shutil.rmtree(self.node.folder, ignore_errors=True)

    def pgbackrest(self, *arguments):
        return self.node.run("pgbackrest", f"--config={self.file}", "--stanza=main", *arguments, timeout=300)

    def walked(self):
        """Make the stanza, back up twice, restore, and return how long it took."""
        begun, node = time.monotonic(), self.node
        node.start()
        self.pgbackrest("stanza-create")
        self.pgbackrest("check")
        node.sql("CREATE TABLE kept AS SELECT generate_series(1, 20000) AS n")
        self.pgbackrest("--type=full", "backup")
        backed_up = time.monotonic()
        node.sql("INSERT INTO kept SELECT generate_series(20001, 20500)")
        self.pgbackrest("--type=incr", "backup")
        self.pgbackrest("--type=full", "--repo1-retention-full=1", "backup")  # expires the first two: multi-delete
        node.stop()
        self.pgbackrest(f"--pg1-path={self.restored}", "restore")
        with (self.restored / "postgresql.auto.conf").open("a") as settings:
            settings.write("archive_mode = off\n")
        node.start(self.restored)
        assert node.sql("SELECT count(*) FROM kept") == "20500"
        whole = time.monotonic()
        return f"full {backed_up - begun:.0f} s, and restored after {whole - begun:.0f} s"
