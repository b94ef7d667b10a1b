"""Characters of each category of Unicode, for tests of what text may hold."""

from __future__ import annotations

import sys
import unicodedata


def _each():
    found = {}
    for code in range(sys.maxunicode + 1):
        found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    # All that some reader takes for the end of a line.
    yield "ends of lines", [chr(code) for code in range(sys.maxunicode + 1) if len(f"a{chr(code)}b".splitlines()) > 1]
    for category, characters in sorted(found.items()):
        every = 1 if category in {"Cc", "Cf", "Zl", "Zp", "Zs"} else len(characters) // 20 + 1
        yield category, characters[::every]


CATEGORIES = dict(_each())
