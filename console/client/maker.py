"""Makes the client's calls from the OpenAPI file; `make client` runs it.

Written are operations.json (what the command line goes by) and calls/ (a method for each call, a TypedDict for each
shape). Nothing else knows a call, so a new one of the API needs no line here.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "api" / "openapi.json"
PACKAGE = HERE / "src" / "storekeeper"
PREFIX = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
SECRET = re.compile(r"(^|_)(secret|password|passphrase|private_key)s?($|_)|secret_access_key|^credentials$")
LONG = {"words", "advice", "description", "error", "note", "detail", "text", "content"}  # no columns of a table
TAKEN = {"self", "cls", *keyword.kwlist}
MADE = (
    '"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""\n\n'
    "from __future__ import annotations\n"
)
COLUMNS = 6


class Maker:
    """One document, and what is made of it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
        self.names = self._names()
        self.calls = [
            (path, method, call)
            for path, calls in sorted(document["paths"].items())
            for method, call in calls.items()
            if method in METHODS
        ]
        self.by_path = {(method, path): call["operationId"] for path, method, call in self.calls}
        self.table = self._table()

    def files(self) -> dict[str, str]:
        """Return what is written, by its path in the package."""
        groups = sorted({row["group"] for row in self.table})
        homes = self._homes(groups)
        made = {f"calls/{module(group)}.py": self._group(group, homes) for group in groups}
        made["calls/shapes.py"] = MADE + self._shapes([one for one, home in homes.items() if home == "shapes"], {})
        made["calls/__init__.py"] = self._all(groups)
        told = [{**row, "arguments": [{**one, "hint": None} for one in row["arguments"]]} for row in self.table]
        made["operations.json"] = json.dumps(bare(told), indent=1, ensure_ascii=False) + "\n"
        return made

    # What the document says.

    def resolved(self, schema: Any) -> tuple[dict[str, Any], bool]:
        """Return a schema without references and without its null, and whether it had one."""
        is_nullable = False
        for _ in range(20):
            if not isinstance(schema, dict):
                return {}, is_nullable
            if "$ref" in schema:
                schema = self._at(schema["$ref"])
                continue
            if isinstance(schema.get("type"), list):
                kinds = [one for one in schema["type"] if one != "null"]
                is_nullable |= len(kinds) < len(schema["type"])
                schema = {**schema, "type": kinds[0] if len(kinds) == 1 else None}
            several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if not several:
                return schema, is_nullable
            rest = [one for one in several if not isinstance(one, dict) or one.get("type") != "null"]
            is_nullable |= len(rest) < len(several)
            if len(rest) != 1:
                return {
                    name: value for name, value in schema.items() if name not in {"anyOf", "oneOf", "allOf"}
                }, is_nullable
            outer = {name: value for name, value in schema.items() if name not in {"anyOf", "oneOf", "allOf"}}
            schema = {**self.resolved(rest[0])[0], **outer}
        return {}, is_nullable

    def hint(self, schema: Any) -> str:  # noqa: PLR0911 - one for each kind of schema
        """Return the Python type of what a schema describes, as JSON has it: times and UUIDs are texts."""
        if not isinstance(schema, dict):
            return "Any"
        if "$ref" in schema:
            return self.names.get(schema["$ref"].rpartition("/")[2], "Any")
        for several in ("anyOf", "oneOf", "allOf"):
            if schema.get(several):
                return union(self.hint(one) for one in schema[several])
        if "const" in schema or schema.get("enum"):
            return literal([schema["const"]] if "const" in schema else schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            return union(self.hint({**schema, "type": one}) for one in kind)
        if kind == "null":
            return "None"
        if kind == "array":
            return f"list[{self.hint(schema.get('items'))}]"
        if kind == "object":
            more = schema.get("additionalProperties")
            return f"dict[str, {self.hint(more) if isinstance(more, dict) and more else 'Any'}]"
        return SCALARS.get(str(kind), "Any")

    def _at(self, reference: str) -> Any:
        found: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        return found

    def _names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for one in sorted(self.schemas):
            name = re.sub(r"\W", "_", one).strip("_") or "Shape"
            name = f"Shape{name}" if name[0].isdigit() or keyword.iskeyword(name) else name
            while name in names.values() or name in {
                "Any",
                "Literal",
                "NotRequired",
                "TypedDict",
                "Calls",
                "Core",
                "Omit",
                "File",
                "Begun",
            }:
                name += "_"
            names[one] = name
        return names

    # The table.

    def _table(self) -> list[dict[str, Any]]:
        rows = [self._row(path, method, call) for path, method, call in self.calls]
        for group in {row["group"] for row in rows}:
            those = [row for row in rows if row["group"] == group]
            for row in those:
                if sum(one["command"] == row["command"] for one in those) > 1:
                    row["twice"] = True
            for row in those:
                if row.pop("twice", False):
                    row["command"] = row["id"].replace("_", "-")
        return rows

    def _row(self, path: str, method: str, call: Mapping[str, Any]) -> dict[str, Any]:
        group = (call.get("tags") or [path.removeprefix(PREFIX).strip("/").split("/")[0]])[0].partition(".")[
            0
        ] or "other"
        takes, whole, arguments = self._arguments(path, call)
        answers, shape = self._answers(call)
        return {
            "id": call["operationId"],
            "method": method.upper(),
            "path": path,
            "group": group,
            "command": command(call["operationId"], group, path, method),
            "description": call.get("description") or call.get("summary") or "",
            "permission": call.get("x-permission", ""),
            "answers": answers,
            "takes": takes,
            "whole_body": whole,
            "arguments": arguments,
            "columns": self._columns(shape),
        }

    def _answers(self, call: Mapping[str, Any]) -> tuple[str, Any]:
        good = {status: said for status, said in call["responses"].items() if status.startswith("2")}
        shape: Any = None
        for said in good.values():
            content = (self._at(said["$ref"]) if "$ref" in said else said).get("content") or {}
            if content and JSON not in content:
                return "file", None
            shape = shape or content.get(JSON, {}).get("schema")
        if "202" in good:
            return "begun", shape
        if shape is None:
            return "nothing", None
        plain, _ = self.resolved(shape)
        if plain.get("type") == "array":
            return "page", plain.get("items")
        if {"items", "next"} <= set(plain.get("properties", {})) or list(plain.get("properties", {})) == ["items"]:
            return "page", self.resolved(plain["properties"]["items"])[0].get("items")
        return "row", shape

    def _columns(self, shape: Any) -> list[str]:
        plain, _ = self.resolved(shape)
        properties = plain.get("properties", {})
        order = [*plain.get("required", []), *(one for one in properties if one not in plain.get("required", []))]
        fit = [
            one
            for one in order
            if one in properties
            and self.resolved(properties[one])[0].get("type") in SCALARS
            and one not in LONG
            and not one.endswith("_id")
            and one != "id"
        ]
        return fit[:COLUMNS] + (["id"] if "id" in properties else [])

    def _arguments(self, path: str, call: Mapping[str, Any]) -> tuple[str, bool, list[dict[str, Any]]]:
        given = [self._at(one["$ref"]) if "$ref" in one else one for one in call.get("parameters", [])]
        order = re.findall(r"\{(\w+)\}", path)
        paths = sorted((one for one in given if one["in"] == "path"), key=lambda one: order.index(one["name"]))
        others = [one for one in given if one["in"] in {"query", "header"}]
        used: set[str] = set()
        found = [self._argument(one, one["in"], one.get("schema"), path, used) for one in [*paths, *others]]
        body = call.get("requestBody")
        if not body:
            return "", False, found
        takes, content = next(iter(body["content"].items()))
        takes = JSON if JSON in body["content"] else takes
        shape, is_nullable = self.resolved(body["content"][takes].get("schema", content.get("schema")))
        is_known = shape.get("properties") or (
            shape.get("type") == "object" and shape.get("additionalProperties") is False
        )
        if takes == JSON and is_known and not is_nullable:
            properties = shape.get("properties", {})
            required = shape.get("required", [])
            order = [
                *(one for one in required if one in properties),
                *(one for one in properties if one not in required),
            ]
            for name in order:
                said = {"name": name, "required": name in required}
                found.append(self._argument(said, "body", properties[name], path, used))
            return takes, False, found
        said = {"name": "body", "required": body.get("required", False), "description": body.get("description", "")}
        found.append(self._argument(said, "body", shape if takes == JSON else {"type": "bytes"}, path, used))
        return takes, True, found

    def _argument(self, said: Mapping[str, Any], place: str, schema: Any, path: str, used: set[str]) -> dict[str, Any]:
        plain, is_nullable = self.resolved(schema)
        name = re.sub(r"\W", "_", said["name"]).lower().strip("_") or "value"
        name = f"{place}_{name}" if name in used or name in TAKEN or name[0].isdigit() else name
        while name in used:
            name += "_"
        used.add(name)
        kind = plain.get("type") or "any"
        items, _ = self.resolved(plain.get("items"))
        choices = [one for one in (plain.get("enum") or items.get("enum") or []) if isinstance(one, str)]
        is_id = "uuid" in {plain.get("format"), items.get("format")}
        row = {
            "name": name,
            "sent": said["name"],
            "place": place,
            "type": kind,
            "is_required": bool(said.get("required")),
            "description": said.get("description") or plain.get("description", ""),
            "format": plain.get("format", ""),
            "items": (items.get("type") or "any") if kind == "array" else "",
            "choices": choices,
            "default": plain.get("default"),
            "is_nullable": is_nullable,
            "is_secret": plain.get("format") == "password" or bool(plain.get("writeOnly")) or bool(SECRET.search(name)),
            "resolves": self._resolves(said["name"], place, path) if is_id else "",
        }
        row["hint"] = self.hint(schema) if kind != "bytes" else "bytes"
        return row

    def _resolves(self, sent: str, place: str, path: str) -> str:
        """Return the call that lists what an ID is of: the folder before it, or `stores` of store_id."""
        if place == "path":
            folder = path.partition(f"/{{{sent}}}")[0]
        else:
            folder = f"{PREFIX}/{re.sub(r'_ids?$', '', sent).replace('_', '-')}s"
        found = self.by_path.get(("get", folder), "")
        if not found:
            return ""
        answers, shape = self._answers(self.document["paths"][folder]["get"])
        properties = self.resolved(shape)[0].get("properties", {})
        return found if answers == "page" and {"id", "name"} <= set(properties) else ""

    # Python.

    def _homes(self, groups: Iterable[str]) -> dict[str, str]:
        """Return the module of each shape: its group's, or `shapes` of what several use."""
        users: dict[str, set[str]] = defaultdict(set)
        for path, method, call in self.calls:
            ok = {status: said for status, said in call["responses"].items() if status.startswith("2")}
            row = next(row for row in self.table if row["id"] == self.by_path[method, path])
            body = call.get("requestBody")
            if body and row["takes"] == JSON and not row["whole_body"]:
                body = self.resolved(body["content"][JSON]["schema"])[0].get("properties")  # its fields are arguments
            for one in self._reached([ok, body, call.get("parameters")]):
                users[one].add(row["group"])
        answered = [self._answers(call) for _, _, call in self.calls]
        kept = {shape.get("$ref", "") for answers, shape in answered if isinstance(shape, dict) and answers != "page"}
        pages = {one for one in users if self._is_page(one) and f"#/components/schemas/{one}" not in kept}
        return {
            one: module(next(iter(those))) if len(those) == 1 else "shapes"
            for one, those in sorted(users.items())
            if one not in pages
        }

    def _is_page(self, name: str) -> bool:
        return set(self.schemas[name].get("properties", {})) in ({"items"}, {"items", "next"})

    def _reached(self, start: Any) -> set[str]:
        found: set[str] = set()
        rest = [start]
        while rest:
            one = rest.pop()
            if isinstance(one, dict):
                if "$ref" in one:
                    name = one["$ref"].rpartition("/")[2]
                    if one["$ref"].startswith("#/components/schemas/") and name in self.schemas and name not in found:
                        found.add(name)
                        rest.append(self.schemas[name])
                rest += one.values()
            elif isinstance(one, list):
                rest += one
        return found

    def _shapes(self, those: Iterable[str], homes: Mapping[str, str]) -> str:
        bodies = [self._shape(one) for one in those]
        text = "\n\n".join(bodies)
        names = [one for one in ("Any", "Literal", "NotRequired", "TypedDict") if re.search(rf"\b{one}\b", text)]
        imports = f"\nfrom typing import {', '.join(names)}\n" if names else ""
        return imports + (f"\n\n{text}" if text else "")

    def _shape(self, one: str) -> str:
        name, schema = self.names[one], self.schemas[one]
        properties = schema.get("properties")
        if not properties:
            return f"{name} = {self.hint(schema) if schema.get('type') != 'object' else 'dict[str, Any]'}\n"
        required = schema.get("required", [])
        order = [*(key for key in required if key in properties), *(key for key in properties if key not in required)]
        hints = {
            key: self.hint(properties[key]) if key in required else f"NotRequired[{self.hint(properties[key])}]"
            for key in order
        }
        said = docstring(schema.get("description", ""), "    ")
        if all(key.isidentifier() and not keyword.iskeyword(key) for key in order):
            said += "\n" if said else ""
            return f"class {name}(TypedDict):\n{said}" + "".join(
                f"    {key}: {value}\n" for key, value in hints.items()
            )
        rows = "".join(f"        {key!r}: {value!r},\n" for key, value in hints.items())
        return f"{name} = TypedDict(\n    {name!r},\n    {{\n{rows}    }},\n)\n"

    def _group(self, group: str, homes: Mapping[str, str]) -> str:
        mine = [one for one, home in homes.items() if home == module(group)]
        text = "\n\n".join(self._shape(one) for one in mine)
        methods = "\n".join(self._method(row) for row in self.table if row["group"] == group)
        body = f'class {title(group)}(Core):\n    """The calls of {group}."""\n\n{methods}'
        whole = f"{text}\n\n{body}" if text else body
        typing = [one for one in ("Any", "Literal", "NotRequired", "TypedDict") if re.search(rf"\b{one}\b", whole)]
        core = [one for one in ("OMIT", "Begun", "Core", "File", "Omit") if re.search(rf"\b{one}\b", whole)]
        shared = [
            self.names[one]
            for one, home in homes.items()
            if home == "shapes" and re.search(rf"\b{self.names[one]}\b", whole)
        ]
        lines = [MADE]
        if "Iterator[" in whole:
            lines.append("from collections.abc import Iterator")
        if typing:
            lines.append(f"from typing import {', '.join(typing)}")
        lines.append(("" if len(lines) == 1 else "\n") + f"from ..core import {', '.join(core)}")
        if shared:
            lines.append("from .shapes import (\n" + "".join(f"    {one},\n" for one in sorted(shared)) + ")")
        return "\n".join(lines) + f"\n\n\n{whole}"

    def _method(self, row: dict[str, Any]) -> str:
        arguments = row["arguments"]
        paths = [one for one in arguments if one["place"] == "path"]
        rest = sorted((one for one in arguments if one["place"] != "path"), key=lambda one: not one["is_required"])
        lines = [f"        {one['name']}: {one['hint']},\n" for one in paths]
        if rest:
            lines.append("        *,\n")
        for one in rest:
            hint = one["hint"] if one["is_required"] else f"{one['hint']} | Omit = OMIT"
            lines.append(f"        {one['name']}: {hint},\n")
        call = next(call for _, _, call in self.calls if call["operationId"] == row["id"])
        answers, shape = self._answers(call)
        gives = self.hint(shape) if shape else "Any"
        kinds = {"page": f"Iterator[{gives}]", "begun": f"Begun[{gives}]", "file": "File", "nothing": "None"}
        returns = kinds.get(answers, gives)
        how = {"page": "rows"}.get(answers, answers)
        given = ", ".join(f'"{one["name"]}": {one["name"]}' for one in arguments)
        head = f"    def {identifier(row['id'])}(\n        self,\n{''.join(lines)}    ) -> {returns}:\n"
        said = docstring(row["description"], "        ", [(one["name"], one["description"]) for one in [*paths, *rest]])
        asking = f'self.{how}("{row["id"]}", {{{given}}})'
        if answers == "row" and gives != "Any":
            return f"{head}{said}        found: {gives} = {asking}\n        return found\n"
        return f"{head}{said}        {'' if answers == 'nothing' else 'return '}{asking}\n"

    def _all(self, groups: Iterable[str]) -> str:
        groups = list(groups)
        imports = "".join(f"from .{module(group)} import {title(group)}\n" for group in groups)
        bases = "".join(f"    {title(group)},\n" for group in groups)
        return f'{MADE}\n{imports}\n\nclass Calls(\n{bases}):\n    """Every call of the API."""\n'


def bare(value: Any) -> Any:
    """Return a table without what says nothing, but for what a row of it needs."""
    if isinstance(value, dict):
        needed = {"type", "is_required", "name", "sent", "place"} if "sent" in value else set(value)
        return {name: bare(one) for name, one in value.items() if name in needed or one not in (None, "", [], False)}
    return [bare(one) for one in value] if isinstance(value, list) else value


def command(operation: str, group: str, path: str, method: str) -> str:
    """Return what a call is called in its group: `list` of list_stores; empty of the call that has the group's name."""
    if operation == group.replace("-", "_"):
        return ""
    noun = group.split("-")
    known = {*noun, *(one.removesuffix("s") for one in noun), *(f"{one}s" for one in noun)}
    verb, *rest = operation.split("_")
    left = [one for one in rest if one not in known]
    while left and left[-1] in {"for", "of", "to", "a", "the"}:  # of look_for_unmanaged_buckets
        left.pop()
    # The list itself, or one row of it: the verb says it all, as of list_audit_events.
    if method == "get" and re.fullmatch(rf"{PREFIX}/{re.escape(group)}(/\{{\w+\}})?", path):
        left = []
    return "-".join([verb, *left])


def module(group: str) -> str:
    """Return the module of a group."""
    name = re.sub(r"\W", "_", group).lower()
    return f"{name}_" if keyword.iskeyword(name) or name == "shapes" else name


def identifier(operation: str) -> str:
    """Return a method's name."""
    name = re.sub(r"\W", "_", operation)
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


RESERVED = {"ask", "send", "row", "nothing", "file", "begun", "rows", "wait_for", "transport", "credentials", "clock"}


def title(group: str) -> str:
    """Return the class of a group."""
    return "".join(part.capitalize() for part in re.split(r"\W+|_", group)) + "Calls"


def union(those: Iterable[str]) -> str:
    """Return one type for several, each once, None at the end."""
    parts = list(dict.fromkeys(part for one in those for part in ([one] if "[" in one else one.split(" | "))))
    if "Any" in parts:
        return "Any"
    return " | ".join(sorted(parts, key=lambda one: one == "None"))


def literal(values: Iterable[Any]) -> str:
    """Return the type of a choice."""
    return f"Literal[{', '.join(json.dumps(one) if isinstance(one, str) else repr(one) for one in values)}]"


def docstring(text: str, indent: str, arguments: Iterable[tuple[str, str]] = ()) -> str:
    """Return a docstring that says this, and what is known of each argument; nothing for no words."""
    clean = re.sub(r'["\\]', "`", " ".join(text.split())).rstrip("`")
    lines = textwrap.wrap(clean, 118 - len(indent) - 3)
    more = []
    for name, said in arguments:
        if said := re.sub(r'["\\]', "`", " ".join(said.split())):
            more += textwrap.wrap(f"{name}: {said}", 110 - len(indent), subsequent_indent="    ")
    if not lines and not more:
        return ""
    lines = lines or ["Make the call."]
    if len(lines) == 1 and not more:
        return f'{indent}"""{lines[0]}"""\n'
    body = [*lines, *(["", *more] if more else [])]
    return (
        f'{indent}"""{body[0]}\n' + "".join(f"{indent}{one}\n" if one else "\n" for one in body[1:]) + f'{indent}"""\n'
    )


def main() -> None:
    """Write all files, and take away those of groups that are gone."""
    made = Maker(json.loads(DOCUMENT.read_text())).files()
    for old in (PACKAGE / "calls").glob("*.py"):
        if f"calls/{old.name}" not in made:
            old.unlink()
    for name, text in made.items():
        (PACKAGE / name).write_text(text)
    sys.stdout.write(f"{len(made)} files\n")


if __name__ == "__main__":
    main()
