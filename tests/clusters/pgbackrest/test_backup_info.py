"""A list of backups is input that anybody with a node's key can write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.template.loader import render_to_string
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.pgbackrest import backup_info, repository
from clusters.pgbackrest.backup_info import NotOurs, Unknown, Unreadable, parse
from clusters.repositories.backups import RepositoryView, StanzaView
from tests.clusters.pgbackrest.repository_files import (
    ENCRYPTED,
    FILES,
    PASSPHRASE,
    PLAIN,
    Bucket,
    encrypted,
    info,
    row,
    signed,
)

FULL = "20261122-230118F"
INCR = "20261122-230118F_20261122-230121I"
SYSTEM_ID = "7711134786693777346"
TOMORROW = 1795388480 + 86_400


def look(data, copy=None, passphrase=""):
    """Return what is seen of a stanza with this list, kept in the database and back."""
    objects = {"c-abc/n1/backup/orders/backup.info": data}
    objects |= {"c-abc/n1/backup/orders/backup.info.copy": copy} if copy is not None else {}
    found = repository.look(Bucket(objects), "c-abc", passphrase)
    kept = json.loads(json.dumps(repository.as_json(found), allow_nan=False))
    assert repository.from_json(kept) == found
    return found[0]


def page(*states, known_id=SYSTEM_ID):
    """Return what the pages show of them, as HTML."""
    store = SimpleNamespace(name="archive", get_absolute_url="/stores/1/")
    views = [StanzaView(one, known_id, False, 1, datetime.now(UTC)) for one in states]
    inventory = SimpleNamespace(read_at=datetime.now(UTC), error="")
    repository_row = SimpleNamespace(pk=1, number=1, store=store, known_stanzas=SimpleNamespace(all=list))
    case = RepositoryView(repository_row, inventory, views)
    return render_to_string("clusters/_repository_view.html", {"case": case})


def test_parse_reads_what_it_is_to_read():
    found = parse(info(row(FULL), row(INCR, db_id=2), ids=(11, 12)))
    assert (found["db_id"], found["system_id"], found["postgresql"], found["note"]) == (2, "12", "15", "")
    assert [(one.db_id, one.system_id) for one in found["history"]] == [(1, "11"), (2, "12")]
    assert [(one.label, one.db_id, one.system_id) for one in found["backups"]] == [(FULL, 1, "11"), (INCR, 2, "12")]
    assert (found["backups"][0].timeline, found["backup_bytes"]) == (1, 2 * 2810272)


def test_parse_takes_what_pgbackrest_leaves_out():
    offline = row(FULL, backup_archive_start=None, backup_archive_stop=None)
    [one] = parse(info(re.sub(r'"backup-(error|info-repo-size)":\w+,', "", offline)))["backups"]
    assert (one.first_wal, one.last_wal, one.timeline, one.failed, one.stored) == ("", "", 0, False, 2810272)
    [two] = parse(info(re.sub(r'"backup-info-repo-size-delta":\d+,', "", row(FULL))))["backups"]
    assert two.stored == 2810272


HUGE = 10**5000  # more digits than Python reads
WRONG = {
    "backup-type": ["archive", "incr", 1, None, ["full"], "FULL", {}],
    "backup-timestamp-stop": ["x", "1795388480", 10**18, -1, 1795388480.0, True, None, [], 253_402_300_800],
    "backup-timestamp-start": [TOMORROW * 2, "", False],
    "backup-info-size": ["NaN", -1, 1.5, True, None, 2**63, "1"],
    "backup-info-repo-size-delta": [-5, True, {}, 2**61, 1e3],
    "backup-archive-start": [1, "A", "00000001000000000000000g", "0" * 25, "0" * 24 + "\n", True, []],
    "backup-archive-stop": ["../../etc", {"a": 1}],
    "backup-error": ["false", 0, None, []],
    "db-id": [2, 0, "1", True, None, 1.0, 10**12],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_damage_and_says_where(key, value):
    changed = info(row(FULL, **{key: value}))
    with pytest.raises(Unreadable, match=FULL) as raised:
        parse(changed)
    assert raised.value.status == "damaged"
    state = look(changed.encode())
    assert (state.status, state.backups, state.objects) == ("damaged", [], 1)
    assert ">Damaged<" in page(state)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 100_000, '{"a":1,"a":2}', ""]
)
def test_what_is_no_json_is_damage(text):
    assert look(info(row(FULL).replace(":22992556", f":{text}")).encode()).status == "damaged"
    assert look(info(f"{FULL}={text}").encode()).status == "damaged"


@pytest.mark.parametrize(
    "label",
    [
        *("", "x", "20261122-230118", "20261122-230118D", f"{FULL}_", f"{FULL}_20261122-230121F", f"{INCR}x"),
        *(
            f" {FULL}",
            "\u06620261122-230118F",
            "../20261122-230118F",
            "<b>",
            f"{FULL}\u202e",
            f"{FULL}_20261122-2301210I",
        ),
    ],
)
def test_a_label_has_its_grammar(label):
    line = row(FULL).replace(FULL, label, 1)
    state = look(info(line).encode())
    assert state.status == "damaged"
    assert "<b>" not in page(state)


def test_a_thing_is_listed_once():
    with pytest.raises(Unreadable, match=f"{FULL} stands in it twice"):
        parse(info(row(FULL), row(FULL, backup_info_size=1)))
    with pytest.raises(Unreadable, match="is not JSON"):
        parse(info(row(FULL).replace('"db-id":1', '"db-id":1,"db-id":1')))
    with pytest.raises(Unreadable, match="db-id stands in it twice"):
        parse(signed(info().replace("db-id=1", "db-id=1\ndb-id=1")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("db-id=1\n", "db-id=2\n"),
        ("db-id=1\n", ""),
        ("\n1={", "\n0={"),
        ("\n1={", "\n1e3={"),
        ("\n1={", "\n-1={"),
        ('"db-system-id":7711134786693777346', '"db-system-id":"7"'),
        ('"db-system-id":7711134786693777346', '"db-system-id":18446744073709551616'),
        ('"db-version":"15"', '"db-version":15'),
        ('"db-version":"15"', '"db-version":"15<b>"'),
        ("[db:history]\n", "[db:future]\n"),
        ("[db]\n", "[db\n"),
        ("[backup:current]\n", "hello\n"),
        ("backrest-format=5", "backrest-format=4"),
        ("backrest-format=5", 'backrest-format="5"'),
        ("backrest-format=5", "backrest-format=true"),
        ("backrest-format=5\n", ""),
    ],
)
def test_history_and_sections_are_as_pgbackrest_writes_them(old, new):
    text = info(row(FULL))
    assert old in text
    assert look(signed(text.replace(old, new, 1)).encode()).status == "damaged"


def test_a_history_has_an_end():
    with pytest.raises(Unreadable, match="lists 1,001 databases"):
        parse(info(ids=range(1, 1002)))
    assert len(parse(info(ids=range(1, 1001)))["history"]) == 1000


def test_a_time_in_the_future_is_said():
    text = info(row(FULL, backup_timestamp_stop=TOMORROW))
    assert parse(text, now=TOMORROW - 86_400)["backups"]
    with pytest.raises(Unreadable, match=rf"{FULL} is in the future \(2026-11-23 23:01 UTC\)"):
        parse(text, now=TOMORROW - 86_401)


def test_a_clock_that_was_set_back_took_no_time():
    state = look(info(row(FULL, backup_timestamp_start=1795388490)).encode())
    assert "<td>0 s</td>" in page(state)


def test_a_newer_format_is_called_that():
    text = info(row(FULL)).replace("backrest-format=5", "backrest-format=6", 1).replace("backup:current", "backup:now")
    with pytest.raises(Unknown):
        parse(signed(text))
    state = look(signed(text).encode())
    assert state.status == "unknown"
    assert "written by a newer pgBackRest (format 6)" in state.note
    assert ">Not read<" in page(state)


def test_too_large_is_not_cut_off():
    for data in (PLAIN + b"#" * 25_000_000, encrypted(b"x" * 25_000_000)):
        state = look(data, passphrase=PASSPHRASE)
        assert state.status == "unknown"
        assert "too large: more than 16 MB" in state.note
        assert "cut off" not in state.note
    assert look(b"x" * 25_000_000, PLAIN).status == "read"


def test_a_wrong_checksum_is_shown_and_said():
    changed = PLAIN.replace(b'"backup-info-size":22992556', b'"backup-info-size":22992557')
    state = look(changed)
    assert (state.status, len(state.backups)) == ("read", 2)
    assert "checksum is wrong" in state.note
    assert "pgBackRest refuses" in page(state)
    copied = look(changed, PLAIN)
    assert copied.backups[0].size == 22992556
    assert "Its copy was read" in copied.note


def test_another_passphrase_and_damage_are_told_apart():
    assert look(ENCRYPTED, passphrase="another").status == "encrypted"
    assert look(ENCRYPTED, passphrase=PASSPHRASE).status == "read"
    for at in range(16, len(ENCRYPTED), 61):  # whichever byte of the content is broken, the passphrase is right
        broken = ENCRYPTED[:at] + bytes([ENCRYPTED[at] ^ 0x41]) + ENCRYPTED[at + 1 :]
        state = look(broken, passphrase=PASSPHRASE)
        assert state.status == "damaged" or "checksum is wrong" in state.note, at
        assert look(broken, ENCRYPTED, PASSPHRASE).backups == look(ENCRYPTED, None, PASSPHRASE).backups
        assert look(broken, passphrase="another").status == "encrypted"
    salted = ENCRYPTED[:9] + b"?" + ENCRYPTED[10:]  # derives another key, so only the copy can tell
    assert look(salted, passphrase=PASSPHRASE).status == "encrypted"
    assert look(salted, ENCRYPTED, PASSPHRASE).status == "read"
    assert look(salted, ENCRYPTED[:-16], PASSPHRASE).status == "damaged"
    with pytest.raises(NotOurs):
        backup_info.decrypt(encrypted(PLAIN, "a"), "b")


def many(number):
    fulls = [
        f"20{year:02}{month:02}{day:02}-000000F"
        for year in range(2, 26)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    labels = [f"{full}{end}" for full in fulls for end in ("", f"_{full[:8]}-{111111}I")]
    return [row(label) for label in labels[:number]]


@pytest.mark.slow
def test_ten_thousand_backups_are_bounded_work_and_a_short_page():
    rows = many(12_000)
    data = info(*rows).encode()
    began = time.process_time()
    state = look(data)
    read = time.process_time() - began
    assert (len(state.backups), state.omitted, state.backup_bytes) == (10_000, 2_000, 12_000 * 2810272)
    assert state.backups[-1].label == rows[-1].split("=")[0]
    began = time.process_time()
    html = page(state)
    shown = time.process_time() - began
    assert "12,000 backups" in html
    assert "The newest 50." in html
    assert len(html) < 60_000
    assert (read < 5, shown < 1) == (True, True), (read, shown)
    assert len(json.dumps(repository.as_json([state]))) < 4 * 1024 * 1024  # what a snapshot may have


@pytest.mark.slow
def test_many_backups_of_one_stanza_leave_room_for_the_others():
    objects = {
        f"c-abc/n1/backup/{name}/backup.info": info(*many(10_000 if name == "a" else 20)).encode() for name in "ab"
    }
    first, second = repository.look(Bucket(objects), "c-abc", "")
    assert (len(first.backups), len(second.backups), second.omitted) == (10_000, 10, 10)


@pytest.mark.slow
def test_a_page_ends_whatever_a_repository_holds():
    """As many stanzas, timelines and databases as the reader keeps, each as bad as it can be."""
    state = look(info(*many(60)).encode())
    lines = [
        repository.Timeline(f"{of}-{of}", number, "0" * 24, "F" * 24, later, 1, 1, "F" * 24, "0" * 24, sooner)
        for of in range(15, 25)
        for number in range(1, 11)
        for sooner, later in [("2026-11-22T12:00:00+00:00", "2026-11-22T13:00:00+00:00")]
    ]
    worst = replace(state, db_id=15, postgresql="15", timelines=lines)
    html = page(*[worst] * 500)
    assert "The first 100 of 500 stanzas are shown." in html
    assert html.count(">Second timeline<") == 100
    assert html.count('class="notice bad"') <= 100 * 5
    assert len(html) < 8_000_000


# Whatever is changed in a real file, it is read, or said to be unreadable

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([FULL, INCR, "full", "", "0" * 24, 10**18, 1795388478]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
LINES = PLAIN.decode().split("\n")
KEYS = sorted({*re.findall(r'"([a-z-]+)":', PLAIN.decode())})


@st.composite
def changed_files(draw):
    """Draw a real list of backups with up to three changes, mostly with the checksum that goes with them."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        how = draw(
            st.sampled_from(["value", "value", "value", "member", "member", "member", "drop", "twice", "text", "swap"])
        )
        key, equals, value = lines[at].partition("=")
        if how == "value" and equals:
            lines[at] = f"{key}={json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()))}"
        elif how == "member":
            rows = [
                number for number, line in enumerate(lines) if line.startswith(("2026", "1=")) and line.endswith("}")
            ]
            if rows:
                at = draw(st.sampled_from(rows))
                key, _, value = lines[at].partition("=")
                try:
                    members = json.loads(value)
                except ValueError:
                    continue
                members[draw(st.sampled_from(KEYS))] = draw(VALUES)
                lines[at] = f"{key}={json.dumps(members)}"
        elif how == "drop":
            del lines[at]
        elif how == "twice":
            lines.insert(at, lines[at])
        elif how == "swap":
            lines[at] = f"{draw(st.text(max_size=40))}={value}"
        else:
            lines[at] = draw(st.text(max_size=60))
    text = "\n".join(lines)
    data = (signed(text) if draw(st.booleans()) else text).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


def hold_what_was_promised(state):
    """Check the types and ranges of whatever was taken."""
    assert state.status in {"read", "empty", "damaged", "encrypted", "unknown"}
    assert state.note or state.status in {"read", "empty"}
    now = time.time()
    for one in state.backups:
        assert backup_info.LABEL.fullmatch(one.label)
        assert one.kind in {"full", "diff", "incr"}
        assert all(type(value) is int for value in (one.started, one.stopped, one.size, one.stored, one.db_id))
        assert 0 <= one.started <= now + 86_400
        assert 0 <= one.stopped <= now + 86_400
        assert 0 <= one.size <= 2**60
        assert 0 <= one.stored <= 2**60
        assert one.system_id.isdecimal()
    assert page(state).count("<td>") == 7 * min(50, len(state.backups))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(changed_files(), st.booleans())
def test_whatever_is_changed_it_is_read_or_said(data, secret):
    hold_what_was_promised(look(encrypted(data) if secret else data, passphrase=PASSPHRASE if secret else ""))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"[backrest]\n" + data + b"\n"))
def test_any_bytes_are_read_or_said(data):
    hold_what_was_promised(look(data, passphrase=PASSPHRASE))


@pytest.fixture
def pgbackrest(tmp_path):
    """A function that has `pgbackrest info` read a list of backups, and returns the labels; None when it refuses."""
    folder = tmp_path / "backup/orders"
    folder.mkdir(parents=True)
    (tmp_path / "archive/orders").mkdir(parents=True)
    (tmp_path / "archive/orders/archive.info").write_bytes((FILES / "plain/archive.info").read_bytes())
    config = tmp_path / "pgbackrest.conf"
    lines = [
        "[global]",
        f"repo1-path={tmp_path}",
        "log-level-file=off",
        f"lock-path={tmp_path}",
        "[orders]",
        "pg1-path=/x",
    ]
    config.write_text("\n".join(lines) + "\n")

    def labels(text):
        (folder / "backup.info").write_bytes(text.encode())
        command = ["pgbackrest", f"--config={config}", "--stanza=orders", "info", "--output=json"]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        [said] = json.loads(ran.stdout)
        return None if said["status"]["code"] == 99 else [one["label"] for one in said["backup"]]

    return labels


@pytest.mark.skipif(not shutil.which("pgbackrest"), reason="asks pgBackRest itself")
def test_pgbackrest_refuses_what_the_console_calls_damaged(pgbackrest):
    plain = PLAIN.decode()
    both_refuse = [
        plain[:700],
        plain.replace("22992556", "22992557"),  # the checksum
        signed(plain.replace("backrest-format=5", "backrest-format=6", 1)),
        signed(plain.replace('"backup-timestamp-stop":1795388480', '"backup-timestamp-stop":"x"')),
        signed(plain.replace('"backup-info-size":22992556', '"backup-info-size":NaN')),
        signed(plain.replace('"backup-error":false', '"backup-error":0')),
        signed(plain.replace('"db-id":1,', '"db-id":true,')),
        signed(plain.replace('"db-version":"15"', '"db-version":15')),
        signed(plain.replace("\ndb-id=1", "\ndb-id=7")),
    ]
    for number, text in enumerate(both_refuse):
        state = look(text.encode())
        assert (state.status not in {"read", "empty"} or "pgBackRest refuses" in state.note) is True, number
        assert pgbackrest(text) is None, number
    both_read = [
        plain,
        info(row(FULL), row(INCR)),
        info(),
        info(
            row(FULL, backup_archive_start=None, backup_archive_stop=None)
            .replace('"backup-archive-start":null,', "")
            .replace('"backup-archive-stop":null,', "")
        ),
        info(row(FULL, backup_annotation={"comment": 'Ü = [x] ; "q" \\ \u2028'})),
    ]
    for number, text in enumerate(both_read):
        state = look(text.encode())
        assert (state.status in {"read", "empty"}, state.note) == (True, ""), (number, state.note)
        assert pgbackrest(text) == [one.label for one in state.backups], number
    # 2.45 shows these as they are; a page does not, and says what is wrong with them.
    console_refuses = [
        plain[:-1],
        signed(plain.replace('"backup-type":"full"', '"backup-type":"archive"')),
        signed(plain.replace('"backup-timestamp-stop":1795388480', f'"backup-timestamp-stop":{10**14}')),
    ]
    for number, text in enumerate(console_refuses):
        assert look(text.encode()).status == "damaged", number
        assert pgbackrest(text), number
