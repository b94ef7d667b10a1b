"""What a pgbackrest.conf says, and that pgBackRest itself sees the same in it."""

from __future__ import annotations

import random
import re
import shlex
import shutil
import subprocess

import pytest

from clusters.pgbackrest import config_file
from clusters.pgbackrest.config_file import Refused, named, read

REAL = shutil.which("pgbackrest")
needs_pgbackrest = pytest.mark.skipif(not REAL, reason="pgBackRest is not installed")
# Errors of pgBackRest's reading: a file without form, an option or a value that is not valid.
OF_THE_FILE = re.compile(r"ERROR: \[0(?:29|31|32)\]: (?!.*command requires option)")
SIMPLE = "[global]\nrepo1-path=/var/lib/pgbackrest\n[main]\npg1-path=/var/lib/postgresql/15/main\n"


def test_read_values_by_section():
    found = read(
        "[global]\nprocess-max=2\n[global:backup]\nprocess-max=3\n[main]\npg1-path=/a\nprocess-max=4\n"
        "[main:archive-push]\nprocess-max = 5 \n"
    )
    assert found.stanzas == ["main"]
    assert found.seen_by("main", "restore")["process-max"] == ("4",)
    assert found.seen_by("main", "archive-push")["process-max"] == ("5",)
    assert found.seen_by("other", "backup")["process-max"] == ("3",)
    assert found.seen_by("other")["process-max"] == ("2",)


def test_read_more_than_one_value():
    found = read("[main]\nexclude=a\nexclude=b/\ndb-include=x\n")
    assert found.seen_by("main") == {"exclude": ("a", "b/"), "db-include": ("x",)}


def test_read_numbers_and_former_names():
    found = read("[global]\nrepo-path=/r\nretention-full=2\nrepo2-s3-bucket=b\n[main]\ndb-path=/d\npg2-host=h\n")
    assert found.seen_by("main") == {
        "repo1-path": ("/r",),
        "repo1-retention-full": ("2",),
        "repo2-s3-bucket": ("b",),
        "pg1-path": ("/d",),
        "pg2-host": ("h",),
    }
    assert (found.numbers("repo"), found.numbers("pg")) == ([1, 2], [1, 2])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("foo-bar=1", "pgBackRest knows no such option"),
        ("no-start-fast=y", "“no-” works on the command line alone"),
        ("reset-process-max=y", "“reset-” works on the command line alone"),
        ("stanza=x", "it works on the command line alone"),
        ("pg1-path=/a", "it belongs into a stanza's section"),
    ],
)
def test_read_ignored(line, why):
    [found] = read(f"[global]\n{line}\n").ignored
    assert found.ignored == why


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b\n", "Line 1: an option before the first section"),
        ("\ufeff[global]\n", "Line 1: an option before the first section"),
        ("[global\n", "Line 1: a section ends with ]"),
        ("[]\n", "Line 1: the section has no name"),
        ("[global]\n\nnonsense\n", "Line 3: there is no = in it"),
        ("[global]\n=x\n", "Line 2: no name before the ="),
        ("[global]\n-x=1\n", "Line 2: an option cannot begin with a dash"),
        ("[global]\nprocess1-max=1\n", "Line 2: process1-max has no number"),
        ("[main]\npg-path=/a\n", "Line 2: pg-path needs a number: pg1-path"),
        ("[global]\nno-compress-level=1\n", "“no-” is not for this option"),
        ("[global]\n1-x=1\n", "Line 2: an option cannot begin with a number"),
        ("[global]\nrepo257-path=/a\n", "Line 2: the number of a repository or a host is 1 to 256"),
        (f"[global]\n{'x' * 65}=1\n", "Line 2: the name of the option is longer than 64 bytes"),
        ("[global]\nprocess-max=1\nprocess-max=2\n", "Line 3: [global] has process-max more than once"),
        ("[global]\nrepo-path=/a\nrepo1-path=/a\n", "Line 3: [global] has repo1-path twice"),
        ("[global]\nprocess-max=\n", "Line 2: process-max has no value"),
        ("[global]\nprocess-max=2 # two\n", "Line 2: process-max is a whole number"),
        ("[global]\nstart-fast=yes\n", "Line 2: start-fast is y or n"),
        ("[global]\nrepo1-path=a\n", "Line 2: repo1-path is a path"),
        ("[global]\n\0\n", "not a text file"),
        ("[global]\n" + "#\n" * 6000, "too large"),
        ("#" * 300_000, "too large"),
    ],
)
def test_read_refused(text, message):
    with pytest.raises(Refused, match=re.escape(message)):
        read(text)


def test_refused_never_says_a_value():
    with pytest.raises(Refused) as refused:
        read("[global]\nrepo1-cipher-pass=hunter2\nrepo1-cipher-pass=hunter3\n")
    assert "hunter" not in str(refused.value)


def test_shown_hides_what_is_or_may_be_secret():
    text = (
        "# repo1-s3-key=sss\n  repo1-path = /a  \nrepo1-s3-key-secrt=sss\nrepo1-s3-key-secret = sss=sss\n"
        "repo-cipher-pass=sss\n# words\n"
    )
    assert read(f"[global]\n{text}").shown() == [
        "[global]",
        "# repo1-s3-key=••••••••",
        "repo1-path = /a",
        "repo1-s3-key-secrt=••••••••",
        "repo1-s3-key-secret=••••••••",
        "repo-cipher-pass=••••••••",
        "# words",
    ]


def test_named_has_leading_zeros():
    assert named("repo01-path").canonical == "repo1-path"


# With pgBackRest itself

CHOICES = [
    *(f"process-max={one}" for one in (1, 2, 3)),
    "compress-type=gz",
    "compress-level=3",
    *("start-fast=y", "start-fast=n", "start-fast=yes", "start-fast="),
    *("repo1-path=/a", "repo1-path=/b c", "repo-path=/d", "repo2-path=/e", "repo02-path=/f", "repo257-path=/g"),
    *("repo1-retention-full=2", "retention-full=3", "repo1-retention-full=2 # two", "repo1-bundle=y"),
    *("exclude=a", "exclude=b/", "exclude=c d", "archive-check=n", "repo1-cipher-type=none"),
    *("db-port=5434", "pg1-port=5433", "pg2-path=/nowhere/3", "pg1-socket-path=/tmp"),
    *("foo=1", "foo-bar=1", "no-online=y", "no-compress-level=3", "reset-process-max=y", "stanza=x", "type=full"),
    *("process1-max=2", "pg-path=/q", "-x=1", "1-x=1", "repo1-path", "=5", "recovery-option=a=b", "link-map=a=/b"),
    *("# process-max=9", "#x", "", "   ", "[main]", "[main:backup]", "[global:backup]", "[other]", "[broken", "[]"),
    *("process-max = 2", "\tprocess-max\t=\t2\t", "exclude=#x", "exclude=x=y", "[ main ]", "[main:restore]"),
]


def _files(count):
    chance = random.Random(20)
    for number in range(count):
        lines = ["[global]", "repo1-path=/r"] if number % 4 else ["[global]"]
        for section in ("", "[global:backup]", "[main]", "[main:backup]"):
            lines += ["[main]", f"pg1-path=/nowhere/{number}"] if section == "[main:backup]" else []
            lines += [section, *chance.sample(CHOICES[:-1] if number % 3 else CHOICES[:8], chance.randint(0, 3))]
        yield "\n".join(lines) + chance.choice(("\n", "", "\r\n"))


def _ask(path, command, stanza="main"):
    ran = subprocess.run(
        [REAL, f"--config={path}", f"--stanza={stanza}", "--log-level-console=info", "--log-level-file=off", command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def _seen(said):
    """Return what pgBackRest says that it runs with, by option: it writes all that does not come by default."""
    line = re.search(r"command begin [0-9.]+: (.*)", said)
    found: dict[str, tuple[str, ...]] = {}
    for one in shlex.split(line[1]):
        name, _, value = one.removeprefix("--").partition("=")
        if name.startswith("no-"):
            name, value = name.removeprefix("no-"), "n"
        found[name] = (*found.get(name, ()), value or "y")
    for name in ("config", "exec-id", "log-level-console", "log-level-file", "stanza"):
        found.pop(name, None)
    return found


def _alone(path, text, message, command):
    lines = text.splitlines()[: int(re.match(r"Line (\d+)", message)[1])]
    begin = max(number for number, one in enumerate(lines) if one.startswith("["))
    path.write_text("\n".join([*lines[begin:], "[main]", "pg1-path=/nowhere", ""]))
    stanza = lines[begin].strip(" []").partition(":")[0]
    return _ask(path, command, "main" if stanza == "global" else stanza)


def _read(text):
    try:
        return read(text)
    except Refused as error:
        return error


@pytest.mark.slow
@needs_pgbackrest
def test_pgbackrest_sees_the_same(tmp_path):
    path, seen, refused = tmp_path / "pgbackrest.conf", 0, 0
    for text in _files(80):
        path.write_bytes(text.encode())
        said = {command: _ask(path, command) for command in ("backup", "restore", "archive-push")}
        ours = _read(text)
        if isinstance(ours, Refused):
            # A value that another section overrides is read by none of the commands: then alone.
            found = [*said.values()] + [_alone(path, text, str(ours), command) for command in said]
            assert any(OF_THE_FILE.search(one) for one in found), (text, str(ours), said)
            refused += 1
            continue
        for command in ("backup", "restore"):
            if "command begin" not in said[command]:
                # What lacks for the command: pg1-path and the like. Nothing that was read is wrong.
                assert re.search(r"requires option|ERROR: \[037\]|depends|not valid", said[command]), (text, said)
                continue
            theirs = _seen(said[command])
            mine = ours.seen_by("main", command)
            assert theirs == {name: value for name, value in mine.items() if name in theirs}, (text, said[command])
            assert {*mine} - {*theirs} <= NOT_OF[command], (text, said[command])
            seen += 1
        warned = set(re.findall(r"configuration file contains [a-z -]+ option '([^']+)'", said["backup"]))
        mine = {one.name.written for one in ours.ignored if one.section in SECTIONS_OF_BACKUP}
        assert mine == warned - {"recovery-option", "link-map"}, (text, said["backup"])
    assert seen > 40
    assert refused > 20


# Options that the command does not take, so that it says nothing of them.
NOT_OF = {
    "backup": {"recovery-option", "link-map"},
    "restore": {
        *("start-fast", "archive-check", "exclude", "repo1-retention-full", "repo1-bundle", "compress-type"),
        *("compress-level", "pg1-port", "pg2-path", "pg1-socket-path"),
    },
}
SECTIONS_OF_BACKUP = {"global", "global:backup", "main", "main:backup"}


def test_bounds():
    assert read("#" * (config_file.BYTES_AT_MOST - 1)).lines == ()
