"""What the console's file goes on with of one that somebody made, and what is said of the rest."""

from __future__ import annotations

import pytest

from clusters.pgbackrest.config_file import read
from clusters.pgbackrest.kept import differing, former, with_passphrase
from clusters.pgbackrest.options import OPTIONS

WHOLE = """[global]
repo1-type=s3
repo1-path=/a/
repo1-s3-bucket=one
repo1-s3-key=K
repo1-s3-kms-key-id=kms
repo1-storage-verify-tls=n
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=p1
repo1-retention-full=4
repo1-retention-full-type=time
repo1-retention-archive=2
repo1-block=y
repo1-bundle=y
repo2-path=/b
repo2-host=backups.example.com
spool-path=/s
archive-async=n
archive-push-queue-max=1TiB
process-max=3
log-level-file=debug
unheard-of=secret?
[global:backup]
repo1-retention-full=9
process-max=8
[main]
pg1-path=/data
pg1-port=5433
pg1-socket-path=/run
pg2-host=standby
exclude=a
exclude=b
[main:restore]
process-max=1
[other]
pg1-path=/else
recovery-option=a=b
"""


def test_former_repositories():
    first, second = former(read(WHOLE), ["main"]).repositories
    assert (first.number, first.type, first.path, first.bucket) == (1, "s3", "a", "one")
    assert (first.passphrase, first.cipher, first.behind) == ("p1", "aes-256-cbc", "")
    assert first.retention == {"full": "4", "full-type": "time", "archive": "2"}
    assert first.kept == (("s3-kms-key-id", "kms"), ("block", "y"), ("bundle", "y"))
    assert (second.type, second.path, second.bucket, second.behind) == ("posix", "b", "", "backups.example.com")
    assert "p1" not in repr(first)


def test_former_lines():
    found = former(read(WHOLE), ["main"])
    assert [(one.section, one.name, one.value, one.secret) for one in found.lines] == [
        ("global", "archive-push-queue-max", "1TiB", False),
        ("global", "process-max", "3", False),
        ("global", "unheard-of", "secret?", True),
        ("global:backup", "repo1-retention-full", "9", False),
        ("global:backup", "process-max", "8", False),
        ("main", "pg1-socket-path", "/run", False),
        ("main", "exclude", "a", False),
        ("main", "exclude", "b", False),
        ("main:restore", "process-max", "1", False),
    ]
    assert [(one.name, one.data_directory, one.port) for one in found.stanzas] == [("main", "/data", 5433)]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("[global] spool-path", "The console's own replaces it."),
        ("[global] archive-async", "The console's own replaces it."),
        ("[global] log-level-file", "The console's own replaces it."),
        ("[global] repo1-storage-verify-tls", "the certificate is checked"),
        ("[global] archive-push-queue-max", "WAL beyond it is dropped"),
        ("[global] unheard-of", "its value hidden"),
        ("[global:backup] repo1-retention-full", "for this command alone"),
        ("[main] pg2-host", "Replication"),
    ],
)
def test_former_remarks(what, why):
    remarks = {one.what: one.why for one in former(read(WHOLE), ["main"]).remarks}
    assert why in remarks[what]
    assert not any("secret?" in one or "p1" in one for one in remarks.values())


def test_former_is_of_the_stanzas_that_are_named():
    found = former(read(WHOLE), ["other"])
    assert [one.name for one in found.lines if one.section == "other"] == ["recovery-option"]
    assert not any("main" in one.section for one in found.lines)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_former_never_keeps_a_secret_in_the_clear(name):
    option = OPTIONS[name]
    written = f"{option.group}1{name.removeprefix(option.group)}" if option.group else name
    value = {"bool": "y", "int": "1", "size": "1MiB", "time": "1", "path": "/p", "hash": "a=b"}.get(option.kind, "v")
    for section in ("global", "global:backup", "main", "main:restore"):
        text = f"[main]\npg1-path=/d\n[{section}]\n{written}={value}\n"
        if written != "pg1-path" or section != "main":
            found = former(read(text), ["main"])
            kept = [one for one in found.lines if one.name == written]
            assert not (option.is_secret and (kept or any(one.kept for one in found.repositories))), section


def test_with_passphrase_gives_it_where_none_is():
    found = with_passphrase(former(read(WHOLE), ["main"]), "typed")
    assert [one.passphrase for one in found.repositories] == ["p1", "typed"]


RETENTIONS = """[global:expire]
repo1-retention-full=7
[main]
pg1-path=/a
repo1-retention-full=30
[other]
pg1-path=/b
"""


def test_former_a_stanza_s_own_goes_before_that_of_a_command():
    [repository] = former(read(RETENTIONS), ["main"]).repositories
    assert repository.retention == {"full": "30"}
    assert former(read(RETENTIONS), ["main"]).lines == ()  # in its file it would go before
    assert [one.value for one in former(read(RETENTIONS), ["other"]).lines] == ["7"]


def test_differing_looks_at_commands_too():
    same = RETENTIONS.replace("[other]", "[other]\nrepo1-retention-full=30")
    assert differing(read(same), ["main", "other"]) == ""
    assert differing(read(RETENTIONS), ["main", "other"]) == "repo1-retention-full"
    late = same + "[other:backup]\nrepo1-bundle=y\n"
    assert differing(read(late), ["main", "other"]) == "repo1-bundle"
