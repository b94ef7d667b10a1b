"""The options of a call, as argparse knows them, and what somebody typed as the call takes it."""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .core import OMIT
from .errors import WrongUse
from .operations import Argument, Operation

COMMON = ("url", "ca_file", "output", "columns", "where", "limit", "wait", "timeout", "yes", "save", "body", "help")
WAYS = ("table", "json", "csv")
LISTED = 200  # rows of a table, unless --limit says otherwise
HIDDEN = {"cursor", "limit"}  # of a list, whose pages the client turns


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what the line says."""
        said = message.replace("the following arguments are required:", "say which:")
        said = said.replace("unrecognized arguments:", "there is no such option or argument here:")
        raise WrongUse(f"{self.prog}: {said} (see {self.prog} --help)")


def parser(operation: Operation) -> Parser:
    """Return the parser of a call."""
    prog = " ".join(["storekeeper", operation.group, operation.command]).strip()
    needs = f"\n\nNeeds the permission {operation.permission}." if operation.permission else ""
    made = Parser(
        prog=prog,
        description=f"{operation.description}{needs}",
        epilog=f"example:\n  {example(operation)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for one in operation.arguments:
        if one.place == "path":
            made.add_argument(f"path_{one.name}", metavar=metavar(operation, one), help=_help(one))
        elif not (operation.answers == "page" and one.name in HIDDEN):
            _add(made, operation, one)
    add_common(made, operation)
    return made


def add_common(made: argparse.ArgumentParser, operation: Operation | None = None) -> None:
    """Add what each call takes, and what fits this one."""
    group = made.add_argument_group("of each command")
    group.add_argument(
        "--url", default="", help="the console's address; else STOREKEEPER_URL, or that of `storekeeper login`"
    )
    group.add_argument(
        "--ca-file", default="", metavar="FILE", help="certificates to trust (PEM); else STOREKEEPER_CA_FILE"
    )
    group.add_argument("-o", "--output", choices=WAYS, default="table", help="how to print (table)")
    if operation is None:
        return
    if operation.answers == "page":
        group.add_argument("--columns", default="", metavar="A,B", help="which fields")
        group.add_argument(
            "--where", action="append", default=[], metavar="FIELD=VALUE", help="only rows with this; sifted here"
        )
        said = f"rows at most; 0 for all (a table has {LISTED}, JSON and CSV all)"
        group.add_argument("--limit", type=_number, default=None, metavar="N", help=said)
    if operation.answers == "begun":
        group.add_argument("--wait", action="store_true", help="wait for the task's end, and say how far it is")
        group.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="how long to wait (3600)")
    if operation.answers == "file":
        group.add_argument(
            "--save", default="", metavar="FILE", help="write it there, readable for you alone; - for standard output"
        )
    if operation.method == "DELETE":
        group.add_argument("--yes", action="store_true", help="do not ask first")
    if operation.takes and not operation.whole_body:
        group.add_argument(
            "--body", dest="body_", default="", metavar="JSON", help="fields as JSON, or @FILE; options go before it"
        )


def flag(operation: Operation, argument: Argument) -> str:
    """Return an argument's option: with another name where the command line has one of this name."""
    name = argument.name.replace("_", "-")
    taken = argument.name in COMMON and not (argument.name == "body" and operation.whole_body)
    return f"--field-{name}" if taken and not _is_free(operation, argument.name) else f"--{name}"


def _is_free(operation: Operation, name: str) -> bool:
    if name in {"url", "ca_file", "output", "help"}:
        return False
    pages, begun = {"columns", "where", "limit"}, {"wait", "timeout"}
    has = {"page": pages, "begun": begun, "file": {"save"}}.get(operation.answers, set())
    return name not in has | {"yes", "body"}


def metavar(operation: Operation, argument: Argument) -> str:
    """Return what stands for a path's argument: STORE of /stores/{pk}."""
    before = operation.path.partition(f"/{{{argument.sent}}}")[0].rpartition("/")[2]
    return before.removesuffix("s").replace("-", "_").upper() or argument.name.upper()


def example(operation: Operation) -> str:
    """Return a line as somebody types it."""
    words = ["storekeeper", operation.group, operation.command]
    for one in operation.arguments:
        if one.place == "path":
            words.append(metavar(operation, one))
        elif one.is_required:
            words += [
                flag(operation, one),
                "@FILE" if _is_read(one) else one.choices[0] if one.choices else one.name.upper(),
            ]
    words += {"begun": ["--wait"], "page": ["-o", "json"]}.get(operation.answers, [])
    return " ".join(one for one in words if one)


def typed(operation: Operation, asked: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of the call, by name; raises WrongUse for those that make no sense or are missing."""
    given: dict[str, Any] = {}
    if base := getattr(asked, "body_", ""):
        fields = as_json("--body", read(base) if base[0] in "@-" else base)
        if not isinstance(fields, dict):
            raise WrongUse('--body is an object, such as {"name": "orders"}.')
        for sent, value in fields.items():
            argument = operation.argument("body", sent)
            if argument is None:
                raise WrongUse(f"--body: there is no field {sent!r}.")
            given[argument.name] = value
    for one in operation.arguments:
        value = getattr(asked, f"{'path' if one.place == 'path' else 'given'}_{one.name}", OMIT)
        if value is not OMIT:
            given[one.name] = value if one.place == "path" else _value(flag(operation, one), one, value)
    missing = [flag(operation, one) for one in operation.arguments if one.is_required and one.name not in given]
    if missing:
        raise WrongUse(f"storekeeper {operation.group} {operation.command} needs {', '.join(missing)}.")
    return given


def _add(made: argparse.ArgumentParser, operation: Operation, one: Argument) -> None:
    named: dict[str, Any] = {"dest": f"given_{one.name}", "default": argparse.SUPPRESS, "help": _help(one)}
    if one.type == "boolean":
        made.add_argument(flag(operation, one), action=argparse.BooleanOptionalAction, **named)
        return
    if one.choices:
        named["choices"] = one.choices
    if one.type == "array" and one.items not in {"object", "array", "any"}:
        named["action"] = "append"
    made.add_argument(
        flag(operation, one), metavar=None if one.choices else one.name.rpartition("_")[2].upper(), **named
    )


def _help(one: Argument) -> str:
    said = [one.description.rstrip(".")] if one.description else []
    if one.is_required and one.place != "path":
        said.append("required")
    if one.resolves:
        said.append("an ID or a name")
    if (one.type == "object" and not one.is_secret) or (
        one.type == "array" and one.items in {"object", "array", "any"}
    ):
        said.append("JSON, or @FILE")
    elif _is_read(one):
        said.append("@FILE, or - for standard input")
    elif one.type == "array":
        said.append("may be given several times")
    if one.default not in (None, "", [], False) and not isinstance(one.default, dict):
        said.append(f"{one.default} if not given")
    return "; ".join(said).replace("%", "%%")


def _is_read(one: Argument) -> bool:
    return (one.is_secret and one.type in {"string", "object", "any"}) or one.type == "bytes"


def _value(option: str, one: Argument, value: Any) -> Any:
    if isinstance(value, list):
        return [_scalar(option, one.items, one, part) for part in value]
    if _is_read(one):
        if value[:1] not in {"@", "-"}:
            raise WrongUse(
                f"{option}: others on this machine see what a command line holds. Give {option} @FILE, or {option} - "
            )
        text = read(value)
        if one.type == "object":
            return as_json(option, text)
        return text.encode() if one.type == "bytes" else text.strip()
    return _scalar(option, one.type, one, value)


def _scalar(option: str, kind: str, one: Argument, value: Any) -> Any:  # noqa: PLR0911 - one for each kind
    if not isinstance(value, str):
        return value
    if value == "null" and one.is_nullable and kind != "string":
        return None
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        raise WrongUse(f"{option}: {value!r} is no number.") from None
    if kind in {"object", "array"}:
        return as_json(option, read(value) if value[:1] in {"@", "-"} else value)
    if kind == "any":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def read(text: str) -> str:
    """Return what a file says (@FILE), or standard input (-)."""
    try:
        return sys.stdin.read() if text in {"-", "@-"} else Path(text[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"{text[1:]} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{text[1:]} is no text (UTF-8).") from error


def as_json(option: str, text: str) -> Any:
    """Return what JSON says; raises WrongUse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongUse(f"{option} is no JSON: {error}.") from error


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def is_id(text: str) -> bool:
    """Say whether this is an ID, as all rows have."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def words_of(group: str, operations: Sequence[Operation]) -> dict[str, Operation]:
    """Return the commands of a group."""
    return {one.command: one for one in operations if one.group == group}
