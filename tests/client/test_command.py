"""The command line: what is typed, what is printed, and which code it ends with."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from storekeeper import arguments, command, completion, login, output
from storekeeper.operations import operations

from tests.client.scripted import problem, task

SOURCE = str(Path(command.__file__).parents[1])
ID = "3f0c6a52-9d1b-4c58-8a6e-2b7d4e9f1a03"
ACCOUNT = "8a1d2c3b-4e5f-4a6b-9c7d-0e1f2a3b4c5d"
ALSO = "7b2e3d4c-5f6a-4b7c-8d9e-1f2a3b4c5d6e"
STORES = [
    {
        "id": ID,
        "name": "orders-paris",
        "state": "available",
        "region": "eu-west-3",
        "cluster_ids": [],
        "lock_days": None,
    },
    {
        "id": ACCOUNT,
        "name": "orders-oregon",
        "state": "failed",
        "region": "us-west-2",
        "cluster_ids": [ID],
        "lock_days": 7,
    },
]
PAGE = (200, {"items": STORES, "next": None})
BEGUN = (202, STORES[0], {"Location": "/api/v1/tasks/t-1"})
ME = {
    "username": "ada",
    "service_account": "",
    "role": "owner",
    "organisation": "Acme",
    "expires_at": "2027-01-01T00:00:00Z",
}


def test_a_list_is_a_table_json_or_csv(sk, script):
    script.say(PAGE)
    code, out, err = sk("stores", "list", "--columns", "name,state,region")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "NAME           STATE      REGION",
        "orders-paris   available  eu-west-3",
        "orders-oregon  failed     us-west-2",
    ]
    assert json.loads(sk("stores", "list", "-o", "json")[1]) == STORES
    rows = list(csv.DictReader(io.StringIO(sk("stores", "list", "-o", "csv")[1])))
    assert [row["name"] for row in rows] == ["orders-paris", "orders-oregon"]
    assert (rows[0]["lock_days"], rows[1]["cluster_ids"]) == ("", f'["{ID}"]')
    assert (
        sk("-o", "json", "stores", "list", "--columns", "name")[1]
        == '[\n{"name": "orders-paris"},\n{"name": "orders-oregon"}\n]\n'
    )
    script.say((200, {"items": [], "next": None}))
    assert json.loads(sk("stores", "list", "-o", "json")[1]) == []


def test_a_list_is_sifted_and_cut_and_says_that_there_is_more(sk, script):
    script.say(PAGE)
    code, out, err = sk("stores", "list", "--where", "region=us-west-2", "--columns", "name")
    assert (code, out, err) == (0, "NAME\norders-oregon\n", "")
    code, out, err = sk("stores", "list", "--limit", "1", "--columns", "name")
    assert (out, err) == ("NAME\norders-paris\n", "There are more than 1. --limit 0 lists all.\n")
    assert sk("stores", "list", "--where", "nothing=1")[0] == 2
    assert sk("stores", "list", "--limit", "-3")[0] == 2


def test_a_filter_goes_to_the_console(sk, script):
    script.say(PAGE)
    sk("stores", "list", "--state", "available", "--q", "a&b")
    assert script.asked[0].path == "/api/v1/stores?q=a%26b&state=available&limit=100"


def test_a_row_is_found_by_its_name_and_half_a_name_is_refused_with_what_there_is(sk, script):
    script.say(PAGE, (200, STORES[0]))
    code, out, _ = sk("stores", "get", "orders-paris")
    assert code == 0
    assert "name         orders-paris\n" in out
    assert [one.path for one in script.asked] == ["/api/v1/stores?q=orders-paris", f"/api/v1/stores/{ID}"]
    script.say(PAGE)
    code, out, err = sk("stores", "get", "orders")
    said = "storekeeper: None of the stores is called 'orders'. Did you mean orders-paris, orders-oregon?\n"
    assert (code, out, err) == (4, "", said)
    script.say((200, STORES[0]))
    sk("stores", "get", ID)
    assert len(script.asked) == 1
    script.say((200, {"items": [STORES[0], {**STORES[1], "name": "orders-paris"}], "next": None}))
    code, _, err = sk("stores", "get", "orders-paris")
    assert code == 4
    assert f"2 stores are called 'orders-paris'. Give the ID: {ID}" in err


def test_a_store_is_created_by_the_accounts_name_and_waited_for(sk, script):
    accounts = (200, {"items": [{"id": ACCOUNT, "name": "production"}], "next": None})
    script.say(accounts, BEGUN, (200, task("running")), (200, task("done", 100)), (200, STORES[0]))
    words = (
        "stores",
        "create",
        "--name",
        "orders-paris",
        "--cloud-account",
        "production",
        "--region",
        "Paris",
        "--wait",
    )
    code, out, err = sk(*words, "-o", "json")
    assert code == 0, err
    assert json.loads(out) == STORES[0]
    assert err == "orders: 50 % · running\norders: 100 % · done\n"
    assert script.asked[1].json == {"name": "orders-paris", "cloud_account_id": ACCOUNT, "region": "Paris"}


SEVERAL = [
    (name, one)
    for name, operation in operations().items()
    for one in operation.arguments
    if one.place != "path" and one.type == "array" and one.items not in {"object", "array", "any"}
]


@pytest.mark.parametrize(("name", "argument"), SEVERAL, ids=[f"{name}-{one.name}" for name, one in SEVERAL])
def test_what_may_be_given_several_times_is_a_list(name, argument):
    operation = operations()[name]
    values = [ACCOUNT, ALSO] if argument.resolves else (argument.choices * 2)[:2] or ["1", "2"]
    words = [ALSO for one in operation.arguments if one.place == "path"]
    words += [word for value in values for word in (arguments.flag(operation, argument), value)]
    asked = arguments.parser(operation).parse_args(words)
    assert getattr(asked, f"given_{argument.name}") == values
    assert getattr(arguments.parser(operation).parse_args(words), f"given_{argument.name}") == values  # and no more


def test_a_cluster_is_created_in_two_regions(sk, script):
    script.say(BEGUN)
    regions = ("--regions", "Paris", "--regions", "Tokyo")
    code, _, err = sk("clusters", "create", "--name", "orders", "--cloud-account-id", ACCOUNT, *regions, "-o", "json")
    assert code == 0, err
    assert script.asked[0].json == {"name": "orders", "cloud_account_id": ACCOUNT, "regions": ["Paris", "Tokyo"]}


def test_without_wait_it_says_how_to_wait(sk, script):
    script.say(BEGUN)
    code, out, err = sk("stores", "create", "--name", "orders-paris", "--cloud-account-id", ACCOUNT, "-o", "json")
    assert (code, json.loads(out)) == (0, STORES[0])
    assert err == "It has begun. To wait for its end: storekeeper tasks wait t-1\n"


def test_a_task_that_has_failed_is_code_1_and_one_that_still_runs_7(sk, script):
    script.say((200, task("failed", error="The bucket is not empty.")))
    assert sk("tasks", "wait", "t-1")[0] == 1
    code, _, err = sk("tasks", "wait", "t-1", "t-2")
    assert (code, err.count("The bucket is not empty.")) == (1, 3)
    script.say((200, task("running")))
    code, _, err = sk("tasks", "wait", "t-1", "--timeout", "0")
    assert (code, "still runs after 0 seconds, and goes on" in err) == (7, True)
    script.say((200, task("done")))
    assert sk("tasks", "wait", "t-1") == (0, "", "orders: 50 % · done\n")


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 3), (401, 5), (403, 5), (404, 4), (409, 3), (412, 3), (413, 3), (422, 3), (428, 3), (429, 6), (500, 6)],
)
def test_each_refusal_is_one_plain_line_with_its_own_code(sk, script, status, code):
    script.say((*problem(status, "No:\x1b[31m it\ncannot be.")[:2], {"Retry-After": "9999"}))
    assert sk("me") == (code, "", "storekeeper: No: [31m it cannot be. (request r-1)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["store", "list"], "There is no command 'store'. Did you mean repositories or stores or token?"),
        (["stores", "lst"], "There is no command stores 'lst'. Did you mean list?"),
        (["stores", "create"], "storekeeper stores create needs --name, --cloud-account-id."),
        (["stores", "list", "--nonsense"], "there is no such option or argument here: --nonsense"),
        (["stores", "list", "-o", "yaml"], "invalid choice: 'yaml'"),
        (["stores", "get"], "say which: STORE"),
        (["stores", "create", "--name", "a", "--cloud", ACCOUNT, "--lock-days", "x"], "--lock-days: 'x' is no number."),
        (["stores", "create", "--body", "{"], "--body is no JSON"),
        (["stores", "create", "--body", "[]"], "--body is an object"),
        (["stores", "create", "--body", '{"nam": 1}'], "--body: there is no field 'nam'."),
        (["stores", "create", "--body", "@/nowhere"], "/nowhere cannot be read: No such file or directory."),
        (["stores", "delete", ID], "Add --yes, since there is no terminal to ask on."),
        (["tasks", "wait", "../stores"], "is no task"),
        (["alerts", "get", "half"], "ALERT is an ID"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_code_2_one_line_and_no_call(sk, script, words, said):
    code, out, err = sk(*words)
    assert (code, out, err.count("\n"), script.asked) == (2, "", 1, [])
    assert err.startswith("storekeeper: ")
    assert said in err


def test_a_column_that_no_row_has_is_refused_before_anything_is_printed(sk, script):
    for way in ("table", "json", "csv"):
        script.say(PAGE)
        code, out, err = sk("stores", "list", "-o", way, "--columns", "name,bogus")
        assert (code, out) == (2, "")
        assert "there is no field 'bogus'. There are id, name, state, region" in err
    script.say((200, {"items": [], "next": None}))
    assert sk("stores", "list", "--columns", "name") == (0, "NAME\n", "")


def test_what_is_not_there_is_named(sk, script):
    script.say(problem(404, "There is nothing here."))
    assert sk("stores", "get", ID) == (
        4, "", f"storekeeper: There is nothing here: stores get {ID}. (request r-1)\n",
    )  # fmt: skip


def test_the_version_is_said_as_a_command_and_as_an_option(sk):
    assert sk("version") == sk("--version")
    assert re.fullmatch(r"storekeeper \d+\.\d+.*\n", sk("version")[1])


def test_options_go_before_the_fields_of_a_body(sk, script, tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"name": "one", "cloud_account_id": ACCOUNT, "lock_days": 3}))
    script.say(BEGUN)
    sk("stores", "create", "--body", f"@{tmp_path}/store.json", "--name", "two", "--lock-days", "null")
    assert script.asked[0].json == {"name": "two", "cloud_account_id": ACCOUNT, "lock_days": None}
    sk("stores", "create", "--body", "-", stdin=json.dumps({"name": "one", "cloud_account_id": ACCOUNT}))
    assert script.asked[1].json["name"] == "one"


def test_every_help_says_an_example_and_needs_no_console(sk, script, monkeypatch):
    for name in ("STOREKEEPER_URL", "STOREKEEPER_TOKEN"):
        monkeypatch.delenv(name)
    for words in ([], ["--help"], ["help", "stores"], ["stores"], ["login", "--help"], ["completion", "--help"]):
        code, out, err = sk(*words)
        assert (code, err) == (0, ""), words
        assert "storekeeper" in out
    for one in operations().values():
        code, out, _ = sk(*[word for word in (one.group, one.command, "--help") if word])
        assert code == 0
        assert f"example:\n  storekeeper {one.group}" in out
    assert re.fullmatch(r"storekeeper \d+\.\d+\.\d+\n", sk("--version")[1])
    assert script.asked == []


def test_the_codes_that_the_help_names_are_those_that_there_are():
    told = {int(number) for number in re.findall(r"[:;] (\d+) \w", command.HELP.partition("Exit codes")[2])} | {130}
    told |= {0}
    assert told == {0, command.INTERRUPTED, *(code for _, code in command.CODES)}


def test_login_asks_the_console_and_keeps_what_is_good_for_nobody_else(sk, script, monkeypatch, tmp_path):
    for name in ("STOREKEEPER_URL", "STOREKEEPER_TOKEN"):
        monkeypatch.delenv(name)
    kept = tmp_path / "kept" / "login.json"
    assert sk("me") == (
        2,
        "",
        "storekeeper: Which console? Run `storekeeper login`, or set STOREKEEPER_URL and STOREKEEPER_TOKEN.\n",
    )
    script.say(problem(401, "The token is not known here."))
    assert sk("login", script.url, stdin="sk_wrong\n")[0] == 5
    assert not kept.exists()
    script.say((200, ME))
    code, out, _ = sk("login", f"{script.url}/api/v1/", stdin="sk_right\n")
    assert (code, out) == (0, f"Signed in to {script.url} as ada, owner of Acme, until 2027-01-01.\n")
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(kept.parent.stat().st_mode)) == (0o600, 0o700)
    assert sk("me")[0] == 0
    assert script.asked[-1].headers["authorization"] == "Bearer sk_right"
    kept.chmod(0o640)
    code, _, err = sk("me")
    assert (code, "Others can read" in err, "sk_right" in err) == (2, True, False)
    kept.chmod(0o600)
    kept.write_text("{")
    assert sk("me")[0] == 2
    assert sk("logout")[0] == 0
    assert not kept.exists()


def test_a_kept_token_goes_to_its_own_console_alone(sk, script, monkeypatch):
    monkeypatch.delenv("STOREKEEPER_TOKEN")
    script.say((200, ME))
    sk("login", script.url, stdin="sk_right")
    count = len(script.asked)
    code, _, err = sk("me", "--url", script.url.replace("127.0.0.1", "localhost"))
    assert (code, "There is no token for http://localhost" in err) == (2, True)
    monkeypatch.setenv("STOREKEEPER_URL", "https://elsewhere.example")
    assert sk("me")[0] == 2
    assert len(script.asked) == count


def test_client_credentials_are_kept_with_the_token_that_they_gave(sk, script, monkeypatch, tmp_path):
    monkeypatch.delenv("STOREKEEPER_TOKEN")
    script.say((200, {"access_token": "ska_1", "expires_in": 86400}), (200, ME))
    assert sk("login", script.url, "--client-id", "skc_1", stdin="the-secret\n")[0] == 0
    sk("me")
    assert [one.path for one in script.asked] == ["/v1/oauth/token", "/api/v1/me", "/api/v1/me"]
    assert login.read(tmp_path / "kept" / "login.json").access_token == "ska_1"
    assert sk("login", script.url, "--secret", "sk_plain")[0] == 2


def test_a_name_cannot_drive_the_terminal(sk, script):
    script.say((200, {"items": [{**STORES[0], "name": "a\x1b]0;x\x07\u202eb\nc"}], "next": None}))
    out = sk("stores", "list", "--columns", "name")[1]
    assert out == "NAME\na ]0;x  b c\n"


def test_no_spreadsheet_takes_a_name_for_a_formula(sk, script):
    names = ["=1+1", "+1", "-1", "@x", "a\n=1", "a;=1", "plain"]
    script.say((200, {"items": [{"name": one, "count": -1} for one in names], "next": None}))
    rows = list(csv.reader(io.StringIO(sk("stores", "list", "-o", "csv", "--columns", "name,count")[1])))
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+1", "'-1", "'@x", "a\n'=1", "a;'=1", "plain"]
    assert {row[1] for row in rows[1:]} == {"-1"}


def test_colours_are_on_a_terminal_alone(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, environment, is_coloured in (
        (Terminal(), {}, True), (Terminal(), {"NO_COLOR": "1"}, False), (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ):  # fmt: skip
        assert output.is_colourful(stream, environment) is is_coloured
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "24")
    printer = output.Printer("table", ["name", "state", "region"], stream := Terminal())
    printer.rows(STORES)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "orders-paris   \x1b[32mavailable\x1b[0m"
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= 24 for line in lines)


def environment(script, tmp_path):
    return {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": SOURCE, "TERM": "xterm",
        "STOREKEEPER_URL": script.url, "STOREKEEPER_TOKEN": "sk_test",
    }  # fmt: skip


def test_ctrl_c_while_waiting_says_that_it_goes_on(script, tmp_path):
    script.say((200, task("running")))
    process = subprocess.Popen(
        [sys.executable, "-m", "storekeeper", "tasks", "wait", "t-1"],
        env=environment(script, tmp_path), stderr=subprocess.PIPE, text=True,
        # Whoever runs the tests in the background has them ignore it, and what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    until = time.monotonic() + 60
    while len(script.asked) < 2 and time.monotonic() < until:  # by the second look it waits
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-2:] == [
        "It goes on. To follow it again: storekeeper tasks wait t-1",
        "storekeeper: interrupted",
    ]


def test_a_reader_that_goes_away_ends_it_without_a_word(script, tmp_path):
    many = [{**STORES[0], "name": "x" * 100} for _ in range(5000)]
    script.say((200, {"items": many, "next": None}))
    ran = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m storekeeper stores list -o json | head -n 1; echo ${{PIPESTATUS[0]}}"],
        env=environment(script, tmp_path), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("[\n141\n", "")


def test_on_a_terminal_deleting_asks_first(script, tmp_path):
    script.say(BEGUN)
    for answer, code, calls in ((b"n\n", 2, 0), (b"y\n", 0, 1)):
        script.asked.clear()
        main, side = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "storekeeper", "stores", "delete", ID],
            env=environment(script, tmp_path), stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.write(main, answer)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, len(script.asked)) == (code, calls), err
        assert f"delete {ID}? [y/N]".encode() in err
        os.close(main)
        os.close(side)


@pytest.mark.parametrize(
    ("words", "some", "none"),
    [
        ([""], ["stores", "login"], ["__complete", "list"]),
        (["sto"], ["stores"], ["clusters"]),
        (["stores", ""], ["list", "create"], ["wait", "stores"]),
        (["tasks", "w"], ["wait"], ["get"]),
        (["stores", "create", "--na"], ["--name"], ["--region"]),
        (["stores", "list", "-o", ""], ["table", "json", "csv"], ["--limit"]),
        (["stores", "get", ""], [], ["--url"]),
        (["completion", ""], ["bash", "zsh", "fish"], []),
        (["nothing", ""], [], ["stores"]),
    ],
)
def test_words_are_completed(words, some, none):
    found = completion.candidates(words)
    assert {*some} <= {*found}
    assert not {*none} & {*found}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_with_it(shell, tmp_path):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    program = tmp_path / "bin" / "storekeeper"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m storekeeper "$@"\n')
    program.chmod(0o755)
    asked = {
        "bash": 'eval "$(storekeeper completion bash)"; COMP_WORDS=(storekeeper stores cr); COMP_CWORD=2; '
        '_storekeeper; echo "${COMPREPLY[@]}"',
        "zsh": "compdef() { :; }; compadd() { shift; print -r -- $@; }; "
        'eval "$(storekeeper completion zsh)"; words=(storekeeper stores cr); CURRENT=3; _storekeeper',
        "fish": 'storekeeper completion fish | source; complete -C "storekeeper stores cr"',
    }[shell]
    ran = subprocess.run(
        [shell, "-c", asked], env={"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("create\n", "")
