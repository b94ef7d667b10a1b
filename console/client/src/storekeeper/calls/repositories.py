"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Begun, Core, File, Omit


class Forgotten(TypedDict):
    number: int


class Recovery(TypedDict):
    """What can be had back of a repository of which backups were deleted."""

    repository_id: int
    store_id: str
    kept_days: int | None
    stanzas: list[str]
    seen_whole_at: str | None
    identity: RecoveryIdentity | None
    no_identity: str
    plan: RecoveryPlan | None


class RecoveryIdentity(TypedDict):
    """Who reads what was deleted, until a time: made and removed by a worker."""

    state: str
    until: str
    error: str


class RecoveryPlan(TypedDict):
    """How the backups of one database are had back as they were at a time; its secrets are hidden."""

    at: str
    folder: str
    reads_versions: bool
    machine: str
    setup_script: str
    commands: list[RecoveryStep]
    pgbackrest_conf: str
    undelete_script: str
    undelete_command: str
    undelete_needs: str
    shut_out: str
    deleters_command: str
    full_backup_command: str


class RecoveryStep(TypedDict):
    """What to run, and why."""

    title: str
    text: str


class Repository(TypedDict):
    """A repository: a cluster's number and passphrase in a store, which outlives the attachment and the cluster."""

    id: int
    cluster_id: str | None
    cluster: str
    store_id: str | None
    store: str
    bucket: str
    folder: str
    repository: int
    in_use: bool
    detached_at: str | None
    empty_at: str | None
    kit_taken_at: str | None
    read_at: str | None
    has_loss: bool


class RepositoriesCalls(Core):
    """The calls of repositories."""

    def list_repositories(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
        in_use: bool | None | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
        store_id: str | None | Omit = OMIT,
    ) -> Iterator[Repository]:
        """List the repositories, newest first: those in use, and those that are retained with their passphrases.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        in_use: false: those that are retained, which no cluster uses.
        """
        return self.rows("list_repositories", {"limit": limit, "cursor": cursor, "q": q, "in_use": in_use, "cluster_id": cluster_id, "store_id": store_id})

    def let_repository_go(
        self,
        pk: int,
    ) -> Repository:
        """Delete a repository's passphrase, once nothing is left that it opens; answered with what it was."""
        found: Repository = self.row("let_repository_go", {"pk": pk})
        return found

    def get_repository(
        self,
        pk: int,
    ) -> Repository:
        """Show one repository."""
        found: Repository = self.row("get_repository", {"pk": pk})
        return found

    def get_repository_kit(
        self,
        pk: int,
    ) -> File:
        """Hand out the recovery kit of one repository, whether a cluster uses it or not; it is written down."""
        return self.file("get_repository_kit", {"pk": pk})

    def forget_losses(
        self,
        pk: int,
        *,
        until: str,
        idempotency_key: str | Omit = OMIT,
    ) -> Forgotten:
        """Have nobody told any more of backups that are gone: those that were missed until then.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Forgotten = self.row("forget_losses", {"pk": pk, "idempotency_key": idempotency_key, "until": until})
        return found

    def replace_passphrase(
        self,
        pk: int,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Repository:
        """Have the nodes write into another folder of a store, with another passphrase; answered with that one.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Repository = self.row("replace_passphrase", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def preview_recovery(
        self,
        pk: int,
        *,
        stanza: str | Omit = OMIT,
        at: str | Omit = OMIT,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
    ) -> Recovery:
        """Show what was in a repository, who can read what was deleted of it, and what to run to have it back.

        stanza: One of `stanzas`, such as n1/main.
        at: The time before the loss, such as 2026-11-29T10:00:00.
        zone: The time zone of `at`.
        offset: Which of the two, where a clock was set back: +02:00.
        """
        found: Recovery = self.row("preview_recovery", {"pk": pk, "stanza": stanza, "at": at, "zone": zone, "offset": offset})
        return found

    def end_recovery_identity(
        self,
        pk: int,
    ) -> Begun[Recovery]:
        """Have a worker remove the identity now."""
        return self.begun("end_recovery_identity", {"pk": pk})

    def make_recovery_identity(
        self,
        pk: int,
        *,
        idempotency_key: str | Omit = OMIT,
        access_key_id: str | Omit = OMIT,
        hours: int | Omit = OMIT,
        secret_access_key: str | Omit = OMIT,
    ) -> Begun[Recovery]:
        """Have a worker make an identity that reads what was deleted, in this folder alone, and ends.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        hours: 1, 4, 24, 72 or 168.
        secret_access_key: Kept encrypted until the end, and never shown again.
        """
        return self.begun("make_recovery_identity", {"pk": pk, "idempotency_key": idempotency_key, "access_key_id": access_key_id, "hours": hours, "secret_access_key": secret_access_key})

    def get_recovery_script(
        self,
        pk: int,
        *,
        stanza: str,
        at: str,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
    ) -> File:
        """Hand out the script that sets the reading of what was deleted up, with its secrets; it is written down.

        stanza: One of `stanzas`, such as n1/main.
        at: The time before the loss, such as 2026-11-29T10:00:00.
        zone: The time zone of `at`.
        offset: Which of the two, where a clock was set back: +02:00.
        """
        return self.file("get_recovery_script", {"pk": pk, "stanza": stanza, "at": at, "zone": zone, "offset": offset})

    def get_undelete_script(
        self,
        pk: int,
        *,
        stanza: str,
        at: str,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
    ) -> File:
        """Hand out the script that brings the folder back, for an administrator of the cloud; nothing in it is
        secret.

        stanza: One of `stanzas`, such as n1/main.
        at: The time before the loss, such as 2026-11-29T10:00:00.
        zone: The time zone of `at`.
        offset: Which of the two, where a clock was set back: +02:00.
        """
        return self.file("get_undelete_script", {"pk": pk, "stanza": stanza, "at": at, "zone": zone, "offset": offset})

    def preview_repository_restore(
        self,
        pk: int,
        *,
        node: str | Omit = OMIT,
        stanza: str | Omit = OMIT,
        repository: str | Omit = OMIT,
        backup: str | Omit = OMIT,
        target: str | Omit = OMIT,
        time: str | Omit = OMIT,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
        point: str | Omit = OMIT,
        lsn: str | Omit = OMIT,
        xid: str | Omit = OMIT,
        exclusive: bool | Omit = OMIT,
        timeline: str | Omit = OMIT,
        where: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        port: str | Omit = OMIT,
        key: bool | Omit = OMIT,
    ) -> File:
        """Show the script of a restore from a repository that no cluster uses, with its secrets hidden.

        stanza: The database.
        repository: A repository's ID.
        backup: A label; empty: the newest that fits.
        target: latest, time, immediate, name, lsn or xid.
        where: folder, machine or in_place.
        key: The script asks for a key.
        """
        return self.file("preview_repository_restore", {"pk": pk, "node": node, "stanza": stanza, "repository": repository, "backup": backup, "target": target, "time": time, "zone": zone, "offset": offset, "point": point, "lsn": lsn, "xid": xid, "exclusive": exclusive, "timeline": timeline, "where": where, "folder": folder, "port": port, "key": key})

    def get_repository_restore_script(
        self,
        pk: int,
        *,
        node: str | Omit = OMIT,
        stanza: str | Omit = OMIT,
        repository: str | Omit = OMIT,
        backup: str | Omit = OMIT,
        target: str | Omit = OMIT,
        time: str | Omit = OMIT,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
        point: str | Omit = OMIT,
        lsn: str | Omit = OMIT,
        xid: str | Omit = OMIT,
        exclusive: bool | Omit = OMIT,
        timeline: str | Omit = OMIT,
        where: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        port: str | Omit = OMIT,
        key: bool | Omit = OMIT,
    ) -> File:
        """Hand out the script of a restore from a repository that no cluster uses, complete; it is written down.

        stanza: The database.
        repository: A repository's ID.
        backup: A label; empty: the newest that fits.
        target: latest, time, immediate, name, lsn or xid.
        where: folder, machine or in_place.
        key: The script asks for a key.
        """
        return self.file("get_repository_restore_script", {"pk": pk, "node": node, "stanza": stanza, "repository": repository, "backup": backup, "target": target, "time": time, "zone": zone, "offset": offset, "point": point, "lsn": lsn, "xid": xid, "exclusive": exclusive, "timeline": timeline, "where": where, "folder": folder, "port": port, "key": key})
