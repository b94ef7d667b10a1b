"""Imports run one way: every module of ours stands in the contract that import-linter holds."""

from __future__ import annotations

import ast
import re
import tomllib
from io import StringIO

from django.apps import apps
from django.core.management import call_command
from django.db.models import JSONField

from console.clouds import CLOUDS
from tests.demo_process import ROOT
from tests.turns import LONGEST_FIRST

# Glue that names every app or is read by Django itself: not a layer.
GLUE = {"console.settings", "console.celery"}
TOPS = ("console", "stores", "clusters")  # by name: a search of all there is goes through the virtual environment


def test_every_module_stands_in_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    declared = {name.strip() for layer in contracts[0]["layers"] for name in layer.replace("|", ":").split(":")} | GLUE
    for top in TOPS:
        for path in (ROOT / top).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if "migrations" in path.parts or path.name in {"apps.py", "__init__.py"}:
                continue
            assert any(name == known or name.startswith(f"{known}.") for known in declared), f"{name} has no layer"


def test_the_emulated_clouds_are_kept_from_every_module_of_the_product():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [kept] = [one for one in contracts if one["name"] == "The emulated clouds know nothing of the product"]
    inside = {
        f"console.{path.stem}"
        for path in (ROOT / "console").iterdir()
        if path.suffix == ".py" or any(path.glob("*.py"))
    }
    product = {"stores", "clusters", *inside} - {"console.demo", "console.__init__", "console.__pycache__"}
    missing = {name for name in product if name not in kept["forbidden_modules"]}
    assert not missing, f"forbid the emulated clouds {', '.join(sorted(missing))} in pyproject.toml, too"


# Where a provider may be named outside its own folder: what the operator has set for one, and the places of servers,
# which are in no cloud.
NAMED = {"console/settings.py"}


def ours():
    """Every Python file of the product that belongs to no provider, with its name."""
    for top in TOPS:
        for path in (ROOT / top).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if not re.match(r"(console/clouds|console/demo)/", name) and "/migrations/" not in name:
                yield path, name


TABLE = "clusters/pgbackrest/options.py"  # pgBackRest's own, to read files that somebody made


def test_nothing_knows_an_option_of_one_provider():
    option = re.compile(r"(?<![a-z])(azure|gcs|s3|sftp)-[a-z]+")  # pgBackRest's, by the type of repository
    assert option.search('options.get("azure-key-type")')
    assert option.search("repo1-s3-key=")
    for path, name in ours():
        found = option.search(path.read_text()) if name != TABLE else None
        assert not found, f"{name} knows {found and found[0]}: let the provider's Repository say it"


def test_nothing_asks_which_provider_it_is():
    word = re.compile(rf"""["']({"|".join(CLOUDS)})["']""")
    python = [path for path, name in ours() if name not in {*NAMED, TABLE}]
    for path in [*python, *ROOT.glob("templates/**/*.html"), *ROOT.glob("static/*.js")]:
        name = path.relative_to(ROOT)
        assert not word.search(path.read_text()), f"{name} names a provider: let the provider say what differs"


def test_no_static_file_of_ours_names_a_provider():
    word = re.compile(rf"""\b({"|".join(CLOUDS)})\b""", re.IGNORECASE)
    files = [path for path in (ROOT / "static").glob("*") if path.suffix in {".css", ".js"}]
    assert len(files) > 10
    for path in files:
        found = word.search(path.read_text())
        assert not found, f"{path.name} names {found[0]}: let the template set a class from the provider's data"


def test_no_query_asks_for_json_s_null_where_it_means_no_value():
    """Django: "None" as the value of a JSONField is JSON's null, which no row of ours has; SQL's is `__isnull`."""
    columns = {
        column.name
        for model in apps.get_models()
        for column in model._meta.fields
        if isinstance(column, JSONField) and column.null
    }
    assert "taken_over" in columns
    asked = re.compile(rf"\b(?:filter|exclude|get|Q|When)\((?:[^()]|\([^()]*\))*\b({'|'.join(columns)})=None\b")
    assert asked.search('stores.filter(state__in=("available", "degraded"), taken_over=None)')
    for path, name in ours():
        found = asked.search(path.read_text())
        assert not found, f"{name} compares {found and found[1]} with JSON's null: ask {found and found[1]}__isnull"


def test_what_chooses_tests_by_their_place_names_places_that_are_there():
    """Else a test that moves begins late, runs twice, or runs on neither database."""
    named = {*re.findall(r"\btests/[\w/]+\.py|\btests/\w+(?=[\s\\])", (ROOT / "Makefile").read_text()), *LONGEST_FIRST}
    assert len(named) > 25
    assert [one for one in sorted(named) if not (ROOT / one).exists()] == []


def test_no_target_runs_the_tests_without_xdist():
    """tests/conftest.py sets its marker, and without it nothing is collected: `-n 0` keeps a run in one process."""
    assert "no:xdist" not in (ROOT / "Makefile").read_text()


def test_no_test_module_imports_another():
    """What two of them need stands in a module of its own, or in a conftest: moving a test must break no other."""
    for path in (ROOT / "tests").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not re.match(r"from tests[\w.]*\.test_\w+ import|import tests[\w.]*\.test_", line), f"{path}: {line}"


# bandit's B703, the one of its rules that ruff does not have; `mark_safe` is ruff's S308.
# join what templates have escaped, and the sentences of those
MARKS_SAFE = {"console/web/template_tags.py", "console/web/sentences.py"}


def test_text_is_marked_safe_where_templates_are_filled_alone():
    marking = set()
    for top in TOPS:
        for path in (ROOT / top).rglob("*.py"):
            if "SafeString" in (text := path.read_text()):
                calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
                if any("SafeString" in ast.unparse(made) for made in calls):
                    marking.add(path.relative_to(ROOT).as_posix())
    assert marking == MARKS_SAFE


def test_every_change_of_a_model_has_its_migration(db):
    said = StringIO()
    call_command("makemigrations", check_changes=True, dry_run=True, stdout=said)  # exits with 1 where one is missing
    assert "No changes detected" in said.getvalue()
