"""The command `storekeeper`: each call of the API as `storekeeper GROUP COMMAND`, with the exit codes below."""

from __future__ import annotations

import argparse
import difflib
import getpass
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from . import completion, login
from .arguments import LISTED, Parser, add_common, parser, read, typed, words_of
from .client import Client
from .core import TASKS, Begun, place_of, shown
from .errors import (
    ApiError,
    ConsoleDown,
    Error,
    Forbidden,
    NotFound,
    NotSignedIn,
    StillRunning,
    TaskFailed,
    TooManyCalls,
    Unreachable,
    WrongUse,
)
from .naming import with_ids
from .operations import Operation, operations
from .output import Printer, Progress, safe
from .version import VERSION

# An error's exit code: that of the first of these that it is.
CODES: tuple[tuple[type[BaseException], int], ...] = (
    (TaskFailed, 1),
    (WrongUse, 2),
    (NotFound, 4),
    (NotSignedIn, 5),
    (Forbidden, 5),
    (TooManyCalls, 6),
    (ConsoleDown, 6),
    (Unreachable, 6),
    (StillRunning, 7),
    (ApiError, 3),
)
INTERRUPTED, PIPE_CLOSED = 130, 141
OPERATORS = Path("/usr/local/sbin/storekeeper")
HELP = """storekeeper: use a Storekeeper console from the command line

  storekeeper GROUP COMMAND …     make a call: storekeeper stores --help lists the commands of stores
  storekeeper tasks wait TASK …   wait for tasks to end
  storekeeper login [URL]         keep the address and a token, or client credentials (logout forgets them)
  storekeeper token               print a token that is good now, for curl
  storekeeper completion SHELL    print what completes commands in bash, zsh or fish
  storekeeper version             print the version of this command

groups: {groups}

examples:
  storekeeper login https://console.example.org
  storekeeper stores list --columns name,state,region
  storekeeper stores create --name orders --cloud-account-id production --region eu-west-1 --wait
  storekeeper verdicts list --verdict not_recoverable -o csv

Rows are named by ID or by name. Options: -o table|json|csv, --url URL, --ca-file FILE.
Environment: STOREKEEPER_URL, STOREKEEPER_TOKEN, or STOREKEEPER_CLIENT_ID and STOREKEEPER_CLIENT_SECRET;
STOREKEEPER_CA_FILE, STOREKEEPER_LOGIN_FILE, STOREKEEPER_PLAIN_HTTP=1, NO_COLOR, HTTPS_PROXY, NO_PROXY.
Exit codes: 0 done; 1 the task has failed; 2 wrong use; 3 the console refuses; 4 not found; 5 not signed in, or not
allowed; 6 the console cannot be reached, is down or has too much to do; 7 still running when the time was over;
130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        code = _run(_in_order(words))
        sys.stdout.flush()
        return code
    except Error as error:
        sys.stderr.write(f"storekeeper: {safe(str(error)).removeprefix('storekeeper: ')}\n")
        return next(code for kind, code in CODES if isinstance(error, kind))
    except KeyboardInterrupt:
        sys.stderr.write("storekeeper: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it ends
        return PIPE_CLOSED


def _in_order(words: list[str]) -> list[str]:
    """Return the words with the options that came first behind the command."""
    first: list[str] = []
    while words and words[0] in {"-o", "--output", "--url", "--ca-file"} and len(words) > 1:
        first, words = [*first, *words[:2]], words[2:]
    return [*words[:2], *first, *words[2:]] if first else words


def _run(words: list[str]) -> int:  # noqa: PLR0911 - one for each kind of command
    if not words or words[0] in {"-h", "--help", "help"}:
        return _help(words[1:])
    name, *rest = words
    own = {"login": _login, "logout": _logout, "token": _token, "completion": _completion, "__complete": _candidates}
    if name in own:
        return own[name](rest)
    if name in {"--version", "version"}:
        sys.stdout.write(f"storekeeper {VERSION}\n")
        return 0
    commands = words_of(name, list(operations().values()))
    if not commands:
        raise WrongUse(_unknown(name, [*{one.group for one in operations().values()}, *own], ""))
    if name == "tasks" and rest[:1] == ["wait"]:
        return _wait(rest[1:])
    if rest and rest[0] in commands:
        return _call(commands[rest[0]], rest[1:])
    if "" in commands and (not rest or rest[0].startswith("-")):
        return _call(commands[""], rest)
    if not rest or rest[0] in {"-h", "--help"}:
        return _group(name, commands)
    raise WrongUse(_unknown(rest[0], commands, f"{name} "))


def _unknown(word: str, known: Any, group: str) -> str:
    near = difflib.get_close_matches(word, list(known), 3, 0.5) or [one for one in known if one.startswith(word)]
    offered = f" Did you mean {' or '.join(sorted(one for one in near if not one.startswith('_')))}?" if near else ""
    here = f" The operator's commands are those of sudo {OPERATORS}." if not group and OPERATORS.exists() else ""
    return f"There is no command {group}{word!r}.{offered} See storekeeper {group}--help.{here}"


def _help(words: Sequence[str]) -> int:
    if words:
        return _run([*words, "--help"])
    sys.stdout.write(HELP.format(groups=", ".join(sorted({one.group for one in operations().values()}))))
    return 0


def _group(name: str, commands: Mapping[str, Operation]) -> int:
    rows = {command: one.description for command, one in sorted(commands.items())}
    if name == "tasks":
        rows["wait"] = "Wait until tasks have ended."
    longest = max(len(one) for one in rows)
    lines = "".join(f"  {command:{longest}}  {safe(said)[:100]}".rstrip() + "\n" for command, said in rows.items())
    sys.stdout.write(f"storekeeper {name} COMMAND\n\n{lines}\nstorekeeper {name} COMMAND --help says more.\n")
    return 0


def _parsed(made: Parser, words: Sequence[str]) -> argparse.Namespace | None:
    """Return what was typed; None when the help was asked for and printed."""
    try:
        return made.parse_args(words)
    except SystemExit:
        return None


def _signed_in(asked: argparse.Namespace) -> tuple[login.Login, Client]:
    found = login.find(os.environ, asked.url, asked.ca_file)
    return found, found.client(plain_http=os.environ.get("STOREKEEPER_PLAIN_HTTP") == "1")


def _call(operation: Operation, words: Sequence[str]) -> int:
    if (asked := _parsed(parser(operation), words)) is None:
        return 0
    given = typed(operation, asked)
    if operation.method == "DELETE" and not asked.yes:
        _sure(operation, given)
    kept, client = _signed_in(asked)
    try:
        given = with_ids(client, operation, given)
        if operation.answers == "page":
            return _list(client, operation, given, asked)
        answer = _asked(client, operation, given)
        if operation.answers == "file":
            return _file(answer.body, asked.save)
        row = shown(answer)
        if operation.answers == "begun":
            return _begun(client, operation, Begun(row, place_of(answer), client), asked)
        if row is not None:
            Printer(asked.output, ()).row(row)
            _say_etag(row)
        return 0
    finally:
        kept.keep(client)


def _asked(client: Client, operation: Operation, given: dict[str, Any]) -> Any:
    """Return the answer; of what is not there, the error says which it is."""
    try:
        return client.ask(operation, given)
    except NotFound as error:
        named = " ".join(str(given[one.name]) for one in operation.arguments if one.place == "path")
        if named and named not in error.detail:
            error.detail = (
                f"{error.detail.rstrip('.')}: {' '.join(filter(None, (operation.group, operation.command, named)))}."
            )
        raise


def _say_etag(row: Any) -> None:
    if tag := getattr(row, "etag", ""):
        sys.stderr.write(f"ETag (for --if-match): {safe(tag)}\n")


def _sure(operation: Operation, given: Mapping[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise WrongUse("Add --yes, since there is no terminal to ask on.")
    named = " ".join(str(given[one.name]) for one in operation.arguments if one.place == "path")
    sys.stderr.write(f"{operation.description}\n{operation.command} {safe(named)}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise WrongUse("Nothing was changed.")


def _list(client: Client, operation: Operation, given: dict[str, Any], asked: argparse.Namespace) -> int:
    limit = asked.limit if asked.limit is not None else LISTED if asked.output == "table" else 0
    pages = operation.argument("query", "limit")
    if pages is not None:
        given[pages.name] = min(limit + 1, 100) if limit and not asked.where else 100
    rows: Iterator[Any] = client.rows(operation.id, given)
    wanted = [one.partition("=") for one in asked.where]
    if any(not sign for _, sign, _ in wanted):
        raise WrongUse("--where is FIELD=VALUE, such as --where region=eu-west-1.")
    sifted: Iterator[Any] = (row for row in rows if all(_field(row, name) == value for name, _, value in wanted))
    columns = [one for one in asked.columns.split(",") if one]
    sifted = _with(columns, sifted)
    if asked.output == "table":
        columns = columns or list(operation.columns)
    printer = Printer(asked.output, columns)
    printer.rows(islice(sifted, limit) if limit else sifted)
    if limit and next(sifted, None) is not None:
        sys.stderr.write(f"There are more than {limit}. --limit 0 lists all.\n")
    return 0


def _with(columns: Sequence[str], rows: Iterator[Any]) -> Iterator[Any]:
    """Return the rows; raises WrongUse, before anything is printed, where they do not have these columns."""
    for row in rows:
        if wrong := [one for one in columns if one not in row]:
            raise WrongUse(f"--columns: there is no field {wrong[0]!r}. There are {', '.join(row)}.")
        return chain([row], rows)
    return iter(())


def _field(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise WrongUse(f"--where: there is no field {name!r}. There are {', '.join(row)}.")
    value = row[name]
    return ("true" if value else "false") if isinstance(value, bool) else "" if value is None else str(value)


def _file(content: bytes, save: str) -> int:
    if not save or save == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return 0
    try:
        # It may hold keys, so nobody else reads it, also while it is written.
        handle = os.open(save, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)
            file.write(content)
    except OSError as error:
        raise WrongUse(f"{save} cannot be written: {error.strerror}.") from error
    sys.stderr.write(f"{len(content)} bytes in {save}\n")
    return 0


def _begun(client: Client, operation: Operation, begun: Begun[Any], asked: argparse.Namespace) -> int:
    if not asked.wait or not begun.place:
        if begun.row is not None:
            Printer(asked.output, ()).row(begun.row)
        if begun.task:
            sys.stderr.write(f"It has begun. To wait for its end: storekeeper tasks wait {begun.task}\n")
        return 0
    ended = _follow(client, begun.place, asked.timeout)
    if not begun.task:
        Printer(asked.output, ()).row(ended)
        return 0
    Printer(asked.output, ()).row(_row_now(client, operation, begun.row) or ended)
    return 0


def _row_now(client: Client, operation: Operation, row: Any) -> Any:
    """Return the row after its task; None where it is gone, or cannot be asked for."""
    reading = words_of(operation.group, list(operations().values())).get("get")
    if reading is None or not isinstance(row, Mapping) or "id" not in row or len(reading.arguments) != 1:
        return None
    try:
        return client.row(reading.id, {reading.arguments[0].name: row["id"]})
    except ApiError:
        return None


def _follow(client: Client, place: str, timeout: float) -> dict[str, Any]:
    progress = Progress()
    try:
        return client.wait_for(place, timeout, progress)
    except KeyboardInterrupt:
        progress.break_off()
        again = (
            f" To follow it again: storekeeper tasks wait {place.removeprefix(TASKS)}"
            if place.startswith(TASKS)
            else ""
        )
        sys.stderr.write(f"It goes on.{again}\n")
        raise
    except StillRunning:
        progress.break_off()
        raise


def _wait(words: Sequence[str]) -> int:
    made = Parser(prog="storekeeper tasks wait", description="Wait until tasks have ended, and say how far they are.")
    made.add_argument("tasks", nargs="+", metavar="TASK")
    made.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="how long to wait for each (3600)")
    add_common(made)
    if (asked := _parsed(made, words)) is None:
        return 0
    kept, client = _signed_in(asked)
    failed: TaskFailed | None = None
    try:
        for task in asked.tasks:
            try:
                ended = _follow(client, f"{TASKS}{task.removeprefix(TASKS)}", asked.timeout)
            except TaskFailed as error:
                failed, ended = error, error.task
                sys.stderr.write(f"storekeeper: {safe(str(error))}\n" if len(asked.tasks) > 1 else "")
            if asked.output != "table":
                Printer(asked.output, ()).row(ended)
    finally:
        kept.keep(client)
    if failed:
        raise failed
    return 0


def _login(words: Sequence[str]) -> int:
    made = Parser(
        prog="storekeeper login",
        description="Keep a console's address, and a token or client credentials, in a file that only you can read. "
        "The page API tokens of the console, in the menu at the top right, makes both.",
        epilog="examples:\n  storekeeper login https://console.example.org\n"
        "  storekeeper login https://console.example.org --client-id skc_… < secret.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("url", nargs="?", default=os.environ.get("STOREKEEPER_URL", ""), metavar="URL")
    made.add_argument(
        "--client-id", default="", help="of client credentials; their secret is asked for in place of a token"
    )
    made.add_argument(
        "--secret",
        default="",
        metavar="@FILE",
        help="the token or secret; else it is asked for, or read of standard input",
    )
    made.add_argument(
        "--ca-file",
        default=os.environ.get("STOREKEEPER_CA_FILE", ""),
        metavar="FILE",
        help="certificates to trust (PEM)",
    )
    if (asked := _parsed(made, words)) is None:
        return 0
    url = asked.url
    if not url and sys.stdin.isatty():
        sys.stderr.write("Address of the console: ")
        sys.stderr.flush()
        url = sys.stdin.readline().strip()
    if not url:
        raise WrongUse("Which console? storekeeper login https://console.example.org")
    if asked.secret and asked.secret[0] not in "@-":
        raise WrongUse("--secret: others on this machine see what a command line holds. Give --secret @FILE, or none.")
    secret = _secret(asked)
    ca_file = os.path.abspath(asked.ca_file) if asked.ca_file else ""
    mine = login.Login(login.tidy(url), ca_file=ca_file, file=login.place(os.environ))
    if asked.client_id:
        mine.client_id, mine.client_secret = asked.client_id, secret
    else:
        mine.token = secret
    client = mine.client(plain_http=os.environ.get("STOREKEEPER_PLAIN_HTTP") == "1")
    me = client.me()
    assert mine.file is not None
    login.write(mine.file, mine)
    mine.keep(client)
    who = me["username"] or me["service_account"]
    sys.stdout.write(
        safe(f"Signed in to {mine.url} as {who}, {me['role']} of {me['organisation']}, until {me['expires_at'][:10]}.")
        + "\n"
    )
    return 0


def _secret(asked: argparse.Namespace) -> str:
    if asked.secret:
        secret = read(asked.secret)
    elif sys.stdin.isatty():
        secret = getpass.getpass("Secret: " if asked.client_id else "Token: ")
    else:
        secret = sys.stdin.read()
    if not secret.strip():
        raise WrongUse("No token was given: type it, or send it to standard input.")
    return secret.strip()


def _logout(words: Sequence[str]) -> int:
    if (
        _parsed(Parser(prog="storekeeper logout", description="Forget what `storekeeper login` has kept."), words)
        is None
    ):
        return 0
    path = login.place(os.environ)
    path.unlink(missing_ok=True)
    sys.stdout.write(f"{path} is gone. The token is good until it ends, or is revoked in the console.\n")
    return 0


def _token(words: Sequence[str]) -> int:
    made = Parser(
        prog="storekeeper token",
        description="Print a token that is good now, for programs that call the API themselves.",
        epilog='example:\n  curl -H "Authorization: Bearer $(storekeeper token)" https://console.example.org/api/v1/me',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(made)
    if (asked := _parsed(made, words)) is None:
        return 0
    kept, client = _signed_in(asked)
    token = client.credentials.bearer(client.transport)
    kept.keep(client)
    sys.stdout.write(f"{token}\n")
    return 0


def _completion(words: Sequence[str]) -> int:
    made = Parser(
        prog="storekeeper completion",
        description="Print what completes commands.",
        epilog='examples:\n  bash: eval "$(storekeeper completion bash)"   in ~/.bashrc\n'
        '  zsh:  eval "$(storekeeper completion zsh)"    in ~/.zshrc, after compinit\n'
        "  fish: storekeeper completion fish > ~/.config/fish/completions/storekeeper.fish",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("shell", choices=completion.SHELLS)
    if (asked := _parsed(made, words)) is not None:
        sys.stdout.write(completion.SHELLS[asked.shell])
    return 0


def _candidates(words: Sequence[str]) -> int:
    sys.stdout.write("".join(f"{one}\n" for one in completion.candidates(words)))
    return 0


def run() -> None:
    """Run the command and exit with its code: the entry point of the wheel."""
    sys.exit(main())


if __name__ == "__main__":
    run()
