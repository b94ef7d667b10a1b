"""Files of repositories that pgBackRest wrote, in the folder `repository`."""

from __future__ import annotations

from pathlib import Path

FILES = Path(__file__).parent / "repository"
PLAIN = (FILES / "plain/backup.info").read_bytes()
ENCRYPTED = (FILES / "encrypted/backup.info").read_bytes()
PASSPHRASE = (FILES / "encrypted/passphrase.txt").read_text()
