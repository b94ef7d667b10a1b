"""Characters that somebody may type: of each category of Unicode, and what means something to those who read files."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

MEANINGFUL = (
    "\t\n\r\x00\x0b\x1b\x7f\x85\u2028\u2029",  # they end a line, or a text
    "\xa0\xad\u061c\u180e\u2003\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2066\u2069\u3000\ufeff\ufffe\ufffd",
    " '\"`$%#;&|<>(){}[]*?!~\\/=,.:@^+-_0",  # shells, cron, systemd, INI, HCL, IAM
    "\u0660\u06f0\u017f\u0130\u212a\uff10\u0301\u1f468\U0001d400\U0001d7ce",  # digits and letters of other alphabets
)
NAMES = (  # of the categories
    *("Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl"),
    *("No", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
)
CATEGORIES = ("ends of lines", *NAMES)


@cache
def _by_category() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in NAMES}
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        found[unicodedata.category(character)].append(character)
    return found


@cache
def characters() -> tuple[str, ...]:
    """Return the first and the last of each category that UTF-8 can carry, then the meaningful ones."""
    every = _by_category()
    ends = [one for name, members in every.items() if name != "Cs" for one in (members[0], members[-1])]
    return tuple(dict.fromkeys([*ends, *"".join(MEANINGFUL)]))


@cache
def of_category(name: str) -> list[str]:
    """Return characters of one of CATEGORIES: some of each of Unicode's, and all of those that turn or hide texts."""
    if name == "ends of lines":  # for some reader: the last of each line of a text of all characters
        return [line[-1] for line in "".join(map(chr, range(sys.maxunicode + 1))).splitlines(True)][:-1]
    found = _by_category()[name]
    return found[:: 1 if name in {"Cc", "Cf", "Zl", "Zp", "Zs"} else len(found) // 20 + 1]
