"""What the maker makes of an OpenAPI file: of ours, which is committed, and of any other."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tomllib

import storekeeper
from hypothesis import given, settings
from hypothesis import strategies as st
from storekeeper.arguments import parser
from storekeeper.calls import Calls
from storekeeper.operations import load, operations

from console.client.maker import DOCUMENT, PACKAGE, Maker
from console.release import VERSION
from tests.demo_process import ROOT

OURS = json.loads(DOCUMENT.read_text())


def test_what_is_committed_is_what_the_maker_makes_of_the_committed_document():
    for name, text in Maker(OURS).files().items():
        assert (PACKAGE / name).read_text() == text, f"{name} is old: make client"
    assert {f"calls/{one.name}" for one in (PACKAGE / "calls").glob("*.py")} == {
        one for one in Maker(OURS).files() if one.endswith(".py")
    }


def test_each_call_of_the_document_is_a_method_and_a_command():
    known = {call["operationId"] for calls in OURS["paths"].values() for call in calls.values()}
    assert set(operations()) == known
    for one in operations().values():
        method = getattr(Calls, one.id)
        assert [*inspect.signature(method).parameters][1:] == [
            argument.name
            for argument in [
                *(a for a in one.arguments if a.place == "path"),
                *(a for a in one.arguments if a.place != "path" and a.is_required),
                *(a for a in one.arguments if a.place != "path" and not a.is_required),
            ]
        ]
        assert f"storekeeper {one.group}" in parser(one).format_help()
    commands = [(one.group, one.command) for one in operations().values()]
    assert len({*commands}) == len(commands)


def test_the_client_needs_nothing_but_python():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                assert name.partition(".")[0] in sys.stdlib_module_names, f"{path} imports {name}"


def test_the_wheel_has_the_consoles_version():
    described = tomllib.loads((ROOT / "console/client/pyproject.toml").read_text())["project"]
    assert (described["version"], storekeeper.version.VERSION) == (VERSION, VERSION)
    assert described["dependencies"] == []


WORDS = st.sampled_from(
    [
        "id",
        "name",
        "pk",
        "class",
        "self",
        "from",
        "body",
        "limit",
        "output",
        "url",
        "wait",
        "X-Key",
        "2nd",
        "a b",
        "Any",
    ]
)
LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "uuid"},
        {"type": "integer", "default": 3},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"enum": ["a", 'b"', "c'"]},
        {"const": 1},
        {},
        {"type": "null"},
        {"$ref": "#/components/schemas/Loop"},
        {"$ref": "#/components/schemas/gone"},
        {"type": "string", "description": 'Says "so"\\ and %s, 100 %.\n\nMore.'},
        True,
    ]
)


def _object(properties, some):
    return {"type": "object", "properties": properties, "required": [one for one in properties if one in some]}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one: {"oneOf": one}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(_object, st.dictionaries(WORDS, inner, max_size=4), st.sets(WORDS)),
    ),
    max_leaves=6,
)
JSON = "application/json"
PATHS = st.sampled_from(["/api/v1/things", "/api/v1/things/{pk}", "/api/v1/things/{pk}/parts/{name}", "/api/v1/a.csv"])
METHODS = st.sampled_from(["get", "post", "put", "patch", "delete"])
IDS = st.sampled_from(["list_things", "get_thing", "import", "wait_for", "things"])
TAGS = st.sampled_from([["things"], ["class"], ["shapes"], []])
SAID = st.sampled_from(["", "Do it.", 'A "quoted" \\ one\'s text.\n\nMore of it'])


@st.composite
def calls(draw, path, method, number):
    names = draw(st.lists(WORDS, max_size=4, unique=True))
    places = st.sampled_from(["query", "header"])
    given = [{"name": one, "in": draw(places), "schema": draw(SCHEMAS)} for one in names]
    keys = [one for one in ("pk", "name") if f"{{{one}}}" in path]
    given += [{"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in keys]
    content = {draw(st.sampled_from([JSON, "text/plain"])): {"schema": draw(SCHEMAS)}}
    status = draw(st.sampled_from(["200", "201", "202"]))
    call = {
        "operationId": draw(IDS) + f"_{number}" * (number > 0),
        "tags": draw(TAGS),
        "parameters": given,
        "description": draw(SAID),
        "responses": {status: {"description": "", "content": content}, "204": {"description": ""}},
    }
    if method != "get" and draw(st.booleans()):
        call["requestBody"] = {"content": {draw(st.sampled_from([JSON, "text/csv"])): {"schema": draw(SCHEMAS)}}}
    return call


@st.composite
def documents(draw):
    """Any document: what names, shapes, methods and answers there can be."""
    paths: dict = {}
    for number in range(draw(st.integers(1, 4))):
        path, method = draw(PATHS), draw(METHODS)
        paths.setdefault(path, {})[method] = draw(calls(path, method, number))
    loop = _object({"next": {"$ref": "#/components/schemas/Loop"}}, {"next"})
    other = draw(SCHEMAS.filter(lambda one: one is not True))
    return {"paths": paths, "components": {"schemas": {"Loop": loop, "Other-1": other}}}


@given(documents())
@settings(max_examples=100, deadline=None)
def test_any_document_gives_code_that_compiles_and_commands_that_are_parsed(document):
    made = Maker(document).files()
    for name, text in made.items():
        if name.endswith(".py"):
            tree = compile(text, name, "exec", ast.PyCF_ONLY_AST)
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    assert not hasattr(storekeeper.core.Core, node.name)
    seen = set()
    for one in load(made["operations.json"]).values():
        made_parser = parser(one)
        made_parser.format_help()
        required = [f"v{number}" for number, argument in enumerate(one.arguments) if argument.place == "path"]
        assert made_parser.parse_args(required).output == "table"
        seen.add((one.group, one.command))
    assert len(seen) == len(load(made["operations.json"]))
