"""What is installed where: production holds what the product imports, and nothing of the demo or of the tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, version
from itertools import pairwise
from pathlib import Path

import pytest

from tests.production import ROOT, canonical, locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock")
TRACED = "console/web/opentelemetry.py"  # which is loaded where traces are wanted, and nowhere else
OURS = {"console", "stores", "clusters"}


def named(requirements: list) -> dict[str, str]:
    """Return what pyproject.toml asks for, by distribution."""
    return {canonical(re.split(r"[^\w.-]", one)[0]): one for one in requirements if isinstance(one, str)}


def product() -> list[Path]:
    """Return the product's modules: all of ours but the demo's."""
    modules = [path for top in OURS for path in (ROOT / top).rglob("*.py")]
    return sorted(path for path in modules if not path.is_relative_to(ROOT / "console" / "demo"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each module that a module imports by its full name, with its line, but not those for types alone."""
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        nodes += [one for one in ast.iter_child_nodes(node) if not isinstance(one, ast.expr)]
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{one.name}") for one in node.names)


def owners() -> dict[str, set[str]]:
    """Return the distributions that bring each module, by its full name: `google` alone is of several."""
    found: dict[str, set[str]] = {}
    for one in distributions():
        name = canonical(one.metadata["Name"])
        for file in one.files or ():
            if file.suffix in {".py", ".so"} and ".." not in file.parts:
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                module = ".".join(parts).removesuffix(".__init__")
                found.setdefault(module, set()).add(name)
    return found


def test_each_dependency_is_locked_and_each_lock_has_hashes():
    groups = PROJECT["dependency-groups"]
    wanted = named(PROJECT["project"]["dependencies"])
    for lock, more in zip(LOCKS, ({}, named(groups["demo"]), named(groups["dev"])), strict=True):
        wanted |= more
        assert wanted.keys() <= locked(lock).keys(), f"run `make lock`: {lock} is older than pyproject.toml"
        requirements = re.split(r"^(?=[A-Za-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
        assert not [one.split()[0] for one in requirements if "--hash=sha256:" not in one]


def test_the_locks_name_the_same_versions():
    production, demo, dev = map(locked, LOCKS)
    assert production.items() <= demo.items()
    assert demo.items() <= dev.items()


def test_production_with_traces_locks_nothing_but_what_it_names_beside():
    traced, production = locked("requirements-tracing.lock"), locked()
    assert production.items() <= traced.items() <= locked("requirements-dev.lock").items()
    assert {*named(PROJECT["dependency-groups"]["tracing"])} <= traced.keys() - production.keys()


def test_production_locks_nothing_of_the_demo_and_the_tests():
    groups = PROJECT["dependency-groups"]
    assert not locked().keys() & {*named(groups["demo"]), *named(groups["dev"])}


def test_each_dependency_has_a_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text()
    lines = re.search(r"^dependencies = \[.*?^\[build-system\]", text, re.DOTALL | re.MULTILINE)[0].splitlines()
    for before, line in pairwise(lines):
        if line.startswith('    "'):
            assert "#" in line or before.lstrip().startswith("#"), f"{line.strip()} has no reason beside it"


@pytest.mark.slow
def test_the_product_imports_only_what_production_installs():
    known, owner = {*locked()}, owners()
    for path in product():
        more = locked("requirements-tracing.lock").keys() if path == ROOT / TRACED else set()
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] in OURS or parts[0] in sys.stdlib_module_names:
                continue
            # The longest part of the name that is a module: the rest is something in it.
            module = next((found for end in range(len(parts), 0, -1) if (found := ".".join(parts[:end])) in owner), "")
            where = f"{path.relative_to(ROOT)}:{line} imports {name}"
            assert module, f"{where}, which nothing that is installed has"
            assert owner[module] & (known | more), f"{where} of {owner[module]}, which requirements.lock does not name"


EVERYTHING = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
import django
django.setup()
from django.urls import get_resolver
assert get_resolver().url_patterns
import console.wsgi
from console.celery import app
app.loader.import_default_modules()
assert {"console.operations.tasks.run_operation", "console.operations.tasks.read"} <= {*app.tasks}
import celery.bin.celery, celery.apps.worker, celery.apps.beat, granian.cli, console.rsgi
app.connection_for_write().transport  # which imports what it needs of Redis's client
assert not [name for name in sys.modules if name.startswith("console.demo")]
"""


@pytest.mark.slow
def test_everything_loads_with_what_production_installs():
    subprocess.run([sys.executable, "-m", "tests.production", "-c", EVERYTHING], check=True, cwd=ROOT)


# Of allauth's `internal` modules, which may change with any release, we have read those of this one.
ALLAUTH = "65.21"


def test_allauth_is_the_release_whose_internal_modules_were_read():
    used = [
        f"  {path.relative_to(ROOT)}:{line} {name}"
        for path in (*product(), *sorted((ROOT / "tests").rglob("*.py")))
        if "allauth" in path.read_text()
        for line, name in imports(path)
        if name.startswith("allauth.") and "internal" in name.split(".")
    ]
    assert used, "nothing imports allauth's internal modules any more: take its bound out of pyproject.toml"
    major, minor = map(int, ALLAUTH.split("."))
    bound, installed = named(PROJECT["project"]["dependencies"])["django-allauth"], version("django-allauth")
    hint = "Look whether these still do what we use them for, then raise ALLAUTH here and the bound in pyproject.toml:"
    hint = "\n".join([hint, *used])
    assert installed.startswith(f"{ALLAUTH}."), f"django-allauth is {installed}. {hint}"
    assert bound.endswith(f"<{major}.{minor + 1}"), f"pyproject.toml allows {bound}. {hint}"


def test_the_bench_loads_before_it_has_chosen_its_database():
    subprocess.run([sys.executable, "-c", "import tests.bench.__main__"], check=True, cwd=ROOT)
