"""Imports run one way: every module of ours stands in the contract that import-linter holds."""

from __future__ import annotations

import tomllib

from tests.demo_process import ROOT

# Glue that names every app or is read by Django itself: not a layer.
GLUE = {"console.settings", "console.celery"}


def test_every_module_stands_in_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    declared = {name.strip() for layer in contracts[0]["layers"] for name in layer.replace("|", ":").split(":")} | GLUE
    for top in ("console", "stores", "clusters"):
        for path in (ROOT / top).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if "migrations" in path.parts or path.name in {"apps.py", "__init__.py"}:
                continue
            assert any(name == known or name.startswith(f"{known}.") for known in declared), f"{name} has no layer"
