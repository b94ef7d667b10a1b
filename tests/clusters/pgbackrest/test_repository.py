"""Reading repositories that pgBackRest wrote."""

from __future__ import annotations

import json

import pytest

from clusters.pgbackrest import repository
from clusters.pgbackrest.repository import NotOurs, Unreadable
from tests.clusters.pgbackrest.repository_files import ENCRYPTED, FILES, PASSPHRASE, PLAIN, Bucket, info, row


def bucket(info=PLAIN, copy=None, **more):
    base = "c-abc/n1"
    objects = {
        f"{base}/archive/orders/archive.info": b"x",
        f"{base}/archive/orders/15-1/0000000100000000/0000000100000000000000FE-{'a' * 40}.zst": b"x" * 10,
        f"{base}/archive/orders/15-1/0000000100000001/000000010000000100000000-{'b' * 40}.zst": b"x" * 10,
        f"{base}/archive/orders/15-1/0000000100000001/000000010000000100000000.00000028.backup": b"x",
        f"{base}/archive/orders/15-1/00000002.history": b"x",
        f"{base}/archive/orders/9.6-2/0000000300000000/000000030000000000000001-{'c' * 40}": b"x",
    }
    objects |= {f"{base}/backup/orders/backup.info": info} if info is not None else {}
    objects |= {f"{base}/backup/orders/backup.info.copy": copy} if copy is not None else {}
    return Bucket({**objects, **more})


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_look_says_what_pgbackrest_itself_says(kind):
    said = json.loads((FILES / kind / "info.json").read_text())[0]
    [stanza_state] = repository.look(bucket((FILES / kind / "backup.info").read_bytes()), "c-abc", PASSPHRASE)
    assert (stanza_state.node, stanza_state.stanza, stanza_state.status, stanza_state.note) == (
        "n1",
        "orders",
        "read",
        "",
    )
    assert (stanza_state.system_id, stanza_state.postgresql) == (
        str(said["db"][0]["system-id"]),
        said["db"][0]["version"],
    )
    assert [backup.label for backup in stanza_state.backups] == [one["label"] for one in said["backup"]]
    for backup, one in zip(stanza_state.backups, said["backup"], strict=True):
        assert (backup.kind, backup.started, backup.stopped) == (
            one["type"],
            one["timestamp"]["start"],
            one["timestamp"]["stop"],
        )
        assert (backup.size, backup.stored) == (one["info"]["size"], one["info"]["repository"]["delta"])
        assert (backup.first_wal, backup.last_wal) == (one["archive"]["start"], one["archive"]["stop"])
        assert (backup.system_id, backup.failed) == (stanza_state.system_id, one["error"])


def test_look_finds_the_last_segment_of_the_current_database():
    [stanza_state] = repository.look(bucket(), "c-abc", "")
    assert stanza_state.last_wal == "000000010000000100000000"  # 9.6-2 is not in the history
    assert stanza_state.last_wal_at == "2026-11-22T00:00:00+00:00"


def test_look_takes_the_copy_of_a_file_that_is_cut_off():
    [stanza_state] = repository.look(bucket(PLAIN[:700], PLAIN), "c-abc", "")
    assert (stanza_state.status, len(stanza_state.backups)) == ("read", 2)
    assert "cut off" in stanza_state.note
    assert "copy was read" in stanza_state.note


@pytest.mark.parametrize("end", [0, 12, 700, len(PLAIN) - 30, len(PLAIN) - 1])
def test_look_counts_what_it_cannot_read(end):
    [stanza_state] = repository.look(bucket(PLAIN[:end]), "c-abc", "")
    assert (stanza_state.status, stanza_state.backups) == ("damaged", [])
    assert "cut off" in stanza_state.note
    assert (stanza_state.objects, stanza_state.bytes, stanza_state.more) == (7, 24 + end, False)
    assert stanza_state.last_wal


@pytest.mark.parametrize("end", [16, 40, 1000, len(ENCRYPTED) - 16])
def test_look_tells_a_cut_off_encrypted_file_from_another_passphrase(end):
    [stanza_state] = repository.look(bucket(ENCRYPTED[:end]), "c-abc", PASSPHRASE)
    assert stanza_state.status == "damaged"
    assert "cut off" in stanza_state.note


@pytest.mark.parametrize("passphrase", ["", "another"])
def test_look_counts_what_is_encrypted_otherwise(passphrase):
    [stanza_state] = repository.look(bucket(ENCRYPTED), "c-abc", passphrase)
    assert (stanza_state.status, stanza_state.objects) == ("encrypted", 7)
    assert "passphrase" in stanza_state.note


def test_look_counts_no_further_than_it_must(monkeypatch):
    monkeypatch.setattr(repository, "COUNTED_AT_MOST", 3)
    [stanza_state] = repository.look(bucket(ENCRYPTED), "c-abc", "another")
    assert stanza_state.more


def test_look_sees_an_archive_without_a_backup_and_nothing_at_all():
    [stanza_state] = repository.look(bucket(None), "c-abc", "")
    assert (stanza_state.status, stanza_state.backups) == ("empty", [])
    assert stanza_state.last_wal
    assert repository.look(Bucket({}), "c-abc", "") == []
    assert repository.look(bucket(), "c-other", "") == []


LABELS = ["20261122-140000F", "20261122-150000F", "20261122-160000F"]
LISTED = info(*(row(label) for label in LABELS)).encode()


def folders(*labels):
    return {f"c-abc/n1/backup/orders/{label}/backup.manifest": b"x" for label in labels}


def test_look_says_which_listed_backups_have_no_folder_and_news_remembers():
    there = bucket(LISTED, **folders(LABELS[0], LABELS[2]))
    [state] = repository.look(there, "c-abc", "")
    assert (len(state.backups), state.without_files) == (3, [LABELS[1]])
    [again] = repository.news(there, "c-abc", "", [state], reports={})
    assert again.without_files == [LABELS[1]]
    there.objects["c-abc/n1/backup/orders/backup.info"] = info(row(LABELS[0]), row(LABELS[2])).encode()
    [again] = repository.news(there, "c-abc", "", [again], reports={})
    assert (len(again.backups), again.without_files) == (2, [])


def test_look_is_not_misled_by_a_backup_that_expires_or_ends_meanwhile():
    class Changing(Bucket):
        def read(self, key, at_most, known=""):
            """The first is gone from the list and then its files, and the last is there, by when the list is read."""
            self.objects.pop(f"c-abc/n1/backup/orders/{LABELS[0]}/backup.manifest", None)
            self.objects |= folders(LABELS[2])
            return super().read(key, at_most, known)

    there = Changing(bucket(info(*(row(one) for one in LABELS[1:])).encode(), **folders(*LABELS[:2])).objects)
    [state] = repository.look(there, "c-abc", "")
    assert ([one.label for one in state.backups], state.without_files) == (LABELS[1:], [])


def test_holdings_are_kept_as_they_are():
    stanza_states = repository.look(bucket(), "c-abc", "")
    assert repository.from_json(json.loads(json.dumps(repository.as_json(stanza_states)))) == stanza_states


def test_decrypt_gives_the_text_and_refuses_a_wrong_passphrase():
    assert repository.decrypt(ENCRYPTED, PASSPHRASE).startswith("[backrest]")
    for number in range(2000):  # of so many, some begin as the file does, by one character
        with pytest.raises(NotOurs):
            repository.decrypt(ENCRYPTED, f"wrong-{number}")
    with pytest.raises(Unreadable):
        repository.decrypt(b"\xff\xfe", "")


def test_parse_refuses_other_files():
    for text in ("", "hello", "[backrest]\n", '{"a": 1}', '[backrest]\nbackrest-checksum="x"\n'):
        with pytest.raises(Unreadable):
            repository.parse(text)


def test_folders_without_end_do_not_hide_what_is_known(monkeypatch):
    monkeypatch.setattr(repository, "STANZAS_AT_MOST", 50)
    junk = {f"c-abc/a{number:03}/backup/x/y": b"" for number in range(150)}
    junk |= {f"c-abc/n1/backup/a{number:03}/y": b"" for number in range(150)}
    flooded = Bucket({**bucket().objects, **junk})
    for known in (
        {"before": repository.look(bucket(), "c-abc", "")},
        {"reports": {("n1", "orders"): repository.Report("7", 1)}},
    ):
        found = repository.look(flooded, "c-abc", "", **known)
        assert len(found) == 51
        assert [one.status for one in found if (one.node, one.stanza) == ("n1", "orders")] == ["read"]
        assert (found[-1].status, found[-1].note[:23]) == ("unknown", "149 more stanzas are he")
        assert len(repository.look(flooded, "c-abc", "", found)) == 51  # what is said of the others is no stanza
