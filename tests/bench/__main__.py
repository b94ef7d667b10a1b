"""Run all measurements, or those that are named, print each figure as it is found, and keep them in bench.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests import environment  # noqa: F401 - before Django's settings are read
from tests.bench import fleet, pages, provisioning, reports, throughput, verdicts


def main() -> None:
    figures: dict[str, tuple[float, str]] = {}
    parts = (provisioning, reports, verdicts, fleet, throughput, pages)
    measures = {one.__name__.rpartition(".")[2]: one.measure for one in parts}
    for measure in [measures[name] for name in sys.argv[1:]] or measures.values():
        for name, value, unit in measure():
            figures[name] = (round(value, 4), unit)
            print(f"{name} {value:.4g} {unit}", flush=True)
    kept = {name: {"value": value, "unit": unit} for name, (value, unit) in figures.items()}
    Path("bench.json").write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
