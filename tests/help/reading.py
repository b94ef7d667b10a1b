"""What the manual is compared with: the texts of the product, as people see them."""

from __future__ import annotations

import re
from functools import lru_cache

from tests.demo_process import ROOT
from tests.sentences import sentences_of_python, sentences_of_template

HOLE = re.compile(r"\$\{?\w+\}?|\{[\w.!:\[\]]*\}|\$\(\([^()]*(?:\([^()]*\))?[^()]*\)\)|%\(\w+\)s")  # a value


@lru_cache(maxsize=1)
def texts() -> tuple[str, ...]:
    """Return every text of the product's pages and code, one each, with an ellipsis for each value."""
    found = []
    for path in [*ROOT.glob("templates/**/*.html")]:
        either = re.sub(r"{% (?:else|elif .*?) %}", "\n", path.read_text())  # one or the other
        found += sentences_of_template(either)
    for top in ("console", "stores", "clusters"):
        for path in (ROOT / top).rglob("*.py"):
            if not {"migrations", "demo", "help"} & {*path.parts}:
                found += sentences_of_python(path.read_text())
    return tuple({" ".join(HOLE.sub("…", one.replace("\\\n", " ")).split()) for one in found})


def is_said(words: str) -> bool:
    """Whether the product says this somewhere; an ellipsis stands for anything."""
    parts = [re.escape(" ".join(one.split())) for one in words.split("…")]
    pattern = re.compile(r"(?<!\w)" + ".*?".join(parts).replace(r"\ ", " ") + r"(?!\w)" * words[-1:].isalnum())
    return any(pattern.search(one) for one in texts())
