"""Reading a pgbackrest.conf that somebody made, exactly as pgBackRest does. Pure.

By its source (src/common/ini.c and src/config/parse.c, alike in 2.45 and 2.60): lines are trimmed; `#` begins a comment
at the beginning of a line alone, quotes and `;` mean nothing, all after the first `=` is the value. For a command of a
stanza the sections are asked in turn: `[stanza:command]`, `[stanza]`, `[global:command]`, `[global]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clusters.pgbackrest.options import FORMER, OPTIONS, Option
from console.clouds import foreign

BYTES_AT_MOST = 256 * 1024
LINES_AT_MOST = 5000
NAME_AT_MOST = 64  # OPTION_NAME_SIZE_MAX
NUMBER_AT_MOST = 256  # CFG_OPTION_KEY_MAX
SPACES = " \t\n\v\f\r"  # of isspace(), by which pgBackRest trims
GLOBAL = "global"
NUMBERED = re.compile(r"([^-]*?)([0-9]*)-(.*)", re.ASCII | re.DOTALL)
HINT = "pgBackRest reads none of the file then."


class Refused(ValueError):
    """pgBackRest does not take the file; the message says where and why, and never a value."""


@dataclass(frozen=True)
class Name:
    """An option as a file names it."""

    written: str
    option: Option | None  # None: pgBackRest knows none of that name
    number: int = 0  # of a repository or a host, from 1; 0 where the option has none
    negation: str = ""  # "no-" or "reset-", which a file may not have

    @property
    def canonical(self) -> str:
        """Return its present name with its number, such as repo1-path; as it is written where it is not known."""
        if self.option is None:
            return self.written
        first, _, rest = self.option.name.partition("-")
        return f"{first}{self.number}-{rest}" if self.number else self.option.name


@dataclass(frozen=True)
class Line:
    """An option of the file, with all the values that its section has for it."""

    section: str
    name: Name
    values: tuple[str, ...]
    numbers: tuple[int, ...]  # of its lines, from 1

    @property
    def is_secret(self) -> bool:
        """Return whether a value must not be shown: what nobody knows may be a secret with a slip of the pen."""
        return self.name.option is None or self.name.option.is_hidden

    @property
    def ignored(self) -> str:
        """Return why pgBackRest ignores it, in words; "" when it does not."""
        option = self.name.option
        if option is None:
            return "pgBackRest knows no such option"
        if self.name.negation:
            return f"“{self.name.negation}” works on the command line alone"
        if option.of_command_line:
            return "it works on the command line alone"
        if option.of_stanza and self.section.partition(":")[0] == GLOBAL:
            return "it belongs into a stanza's section"
        return ""


@dataclass(frozen=True)
class ConfigFile:
    """What a file says: its options in their order."""

    lines: tuple[Line, ...] = ()
    sections: tuple[str, ...] = ()  # in their order, each once; also those without an option
    text: str = field(default="", repr=False)

    @property
    def stanzas(self) -> list[str]:
        """Return the names of its stanzas, in their order."""
        found = (one.partition(":")[0] for one in self.sections)
        return list(dict.fromkeys(one for one in found if one != GLOBAL))

    @property
    def ignored(self) -> list[Line]:
        """Return the options that pgBackRest ignores."""
        return [one for one in self.lines if one.ignored]

    def of_section(self, section: str) -> dict[str, Line]:
        """Return the options of one section by their canonical names, without those that are ignored."""
        return {one.name.canonical: one for one in self.lines if one.section == section and not one.ignored}

    def seen_by(self, stanza: str, command: str = "") -> dict[str, tuple[str, ...]]:
        """Return what pgBackRest sees for a command of a stanza: values by canonical name."""
        found: dict[str, tuple[str, ...]] = {}
        for section in (GLOBAL, f"{GLOBAL}:{command}", stanza, f"{stanza}:{command}"):
            found |= {name: line.values for name, line in self.of_section(section).items()}
        return found

    def numbers(self, group: str) -> list[int]:
        """Return the numbers of the repositories (repo) or hosts (pg) that any section names."""
        lines = (one for one in self.lines if not one.ignored)
        return sorted({one.name.number for one in lines if one.name.option and one.name.option.group == group})

    def shown(self) -> list[str]:
        """Return the lines of the file as they are, but with dots for what is secret, or may be."""
        secret = {number for one in self.lines if one.is_secret for number in one.numbers}
        found = []
        for number, text in enumerate(self.text.split("\n"), 1):
            line = text.strip(SPACES)
            if number in secret:
                line = f"{line.partition('=')[0].rstrip(SPACES)}=••••••••"
            elif line.startswith("#"):
                line = _comment(line)
            found.append(line)
        return found[:-1] if found and not found[-1] else found


def _comment(text: str) -> str:
    """Return a comment as it is shown: a line that was switched off may have a secret, too."""
    name, equals, _ = text.lstrip("# \t").partition("=")
    return f"# {name.strip()}=••••••••" if equals else text


def read(text: str) -> ConfigFile:
    """Return what the file says; raises Refused where pgBackRest would not take it, or it is too large."""
    if len(text.encode(errors="replace")) > BYTES_AT_MOST or text.count("\n") > LINES_AT_MOST:
        raise Refused(f"The file is too large: more than {BYTES_AT_MOST // 1024} KiB, or {LINES_AT_MOST:,} lines.")
    if "\0" in text or "\ufffd" in text:
        raise Refused("This is not a text file in UTF-8.")
    found: dict[tuple[str, str], Line] = {}
    sections: dict[str, None] = {}
    for number, section, written, value in _options(text, sections):
        if line := found.get((section, written)):
            line = Line(section, line.name, (*line.values, value), (*line.numbers, number))
        else:
            line = Line(section, named(written, number), (value,), (number,))
        found[section, written] = line
    lines = tuple(found.values())
    _check(lines)
    return ConfigFile(lines, tuple(sections), text)


def _options(text: str, sections: dict[str, None]) -> Iterator[tuple[int, str, str, str]]:
    """Yield number of the line, section, name and value of each option, and note the sections."""
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(SPACES)
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if not line.endswith("]"):
                raise Refused(f"Line {number}: a section ends with ]. {HINT}")
            section = line[1:-1]
            if not section:
                raise Refused(f"Line {number}: the section has no name. {HINT}")
            sections[section] = None
            continue
        if not section:
            raise Refused(f"Line {number}: an option before the first section, such as [global]. {HINT}")
        name, equals, value = line.partition("=")
        if not equals:
            raise Refused(f"Line {number}: there is no = in it. {HINT}")
        if not (name := name.strip(SPACES)):
            raise Refused(f"Line {number}: no name before the =. {HINT}")
        yield number, section, name, value.strip(SPACES)


def named(written: str, line: int = 0) -> Name:
    """Return the option that a name stands for; raises Refused for one at which pgBackRest stops."""
    where = f"Line {line}: " if line else ""
    if len(written.encode()) > NAME_AT_MOST:
        raise Refused(f"{where}the name of the option is longer than {NAME_AT_MOST} bytes. {HINT}")
    negation = next((one for one in ("no-", "reset-") if written.startswith(one)), "")
    rest = written.removeprefix(negation)
    number, base, pattern = 0, rest, rest
    if match := NUMBERED.fullmatch(rest):
        if not (match[1] or match[2]):
            raise Refused(f"{where}an option cannot begin with a dash. {HINT}")
        if not match[1]:
            raise Refused(f"{where}an option cannot begin with a number. {HINT}")
        if match[2]:
            number = int(match[2])
            base, pattern = f"{match[1]}-{match[3]}", f"{match[1]}?-{match[3]}"
            if not 1 <= number <= NUMBER_AT_MOST:
                raise Refused(f"{where}the number of a repository or a host is 1 to {NUMBER_AT_MOST}. {HINT}")
    option, former = OPTIONS.get(base), FORMER.get(pattern)
    if former:  # also where a present name is one without its number, such as repo-path
        option, number = OPTIONS[former], number or int(bool(OPTIONS[former].group))
    elif option and bool(option.group) != bool(number):
        words = "has no number" if number else f"needs a number: {option.group}1{base.removeprefix(option.group)}"
        raise Refused(f"{where}{foreign.word(written)} {words}. {HINT}")
    if option and negation and option.refuses(negation):
        raise Refused(f"{where}{foreign.word(written)}: “{negation}” is not for this option. {HINT}")
    return Name(written, option, number if option else 0, negation)


def _check(lines: tuple[Line, ...]) -> None:
    """Raise Refused for what pgBackRest ends with an error on, once a command needs it."""
    seen: dict[tuple[str, str], Line] = {}
    for one in lines:
        if one.ignored:
            continue
        where, name, option = f"Line {one.numbers[-1]}", one.name.canonical, one.name.option
        assert option is not None  # it would be ignored
        if other := seen.get((one.section, name)):
            raise Refused(f"{where}: [{one.section}] has {name} twice, as {other.name.written} and {one.name.written}.")
        seen[one.section, name] = one
        if len(one.values) > 1 and not option.is_many:
            raise Refused(f"{where}: [{one.section}] has {name} more than once, and it takes one value.")
        for value in one.values:
            if why := _unfit(option, value):
                raise Refused(f"{where}: {name} {why}.")


_WRITTEN: dict[str, tuple[str, str]] = {  # how a value looks, and in words
    "bool": (r"[yn]", "is y or n"),
    "int": (r"-?[0-9]{1,19}", "is a whole number, with nothing after it"),
    "size": (r"[0-9]+(?:[kmgtpKMGTP][iI]?[bB]?|[bB])?", "is a size, such as 20MiB"),
    "time": (r"[0-9]+(?:\.[0-9]+)?(?:ms|[smhdw])?", "is a time, such as 60 for a minute"),
    "path": (r"/(?:(?!//).)*", "is a path: it begins with / and has no //"),
    "hash": (r"[^=]+=.+", "is a name, = and a value"),
}


def _unfit(option: Option, value: str) -> str:
    pattern, words = _WRITTEN.get(option.kind, (r".+", "has no value"))
    return "has no value" if not value else "" if re.fullmatch(pattern, value, re.ASCII | re.DOTALL) else words
