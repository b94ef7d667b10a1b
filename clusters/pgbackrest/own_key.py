"""The key with which a machine reached its repositories before the console: found in its file, and kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clusters.pgbackrest import config_file
from clusters.pgbackrest.config_file import ConfigFile
from clusters.pgbackrest.grammar import Unfit, is_a_line
from clusters.pgbackrest.options import OPTIONS
from console.clouds.contract import RepositoryOptions

OF_THE_MACHINE = {"auto", "web-id", "pod-id"}  # the types of key that are a machine's own, so without a key


def read(text: str) -> ConfigFile:
    """Return the file, or the lines of one; raises config_file.Refused."""
    has_section = any(line.strip().startswith("[") for line in text.split("\n"))
    return config_file.read(text if has_section else f"[global]\n{text}")


def of_repository(file: ConfigFile, number: int, stanza: str, found: RepositoryOptions) -> dict[str, str]:
    """Return the options that sign in to a repository; raises Unfit, which names what is missing.

    `found` is how the store is reached by the console's own words.
    """
    key = found.brought_key
    assert key is not None  # each cloud has a way
    seen = file.seen_by(stanza)
    signs = (key.type, *(part.option for part in key.parts), *key.more)
    own = {name: values[0] for name in signs if (values := seen.get(f"repo{number}-{name}"))}
    if not all(map(is_a_line, own.values())):
        raise Unfit(f"The key of repo{number} has a character that cannot be seen. Write it anew.")
    if own.get(key.type) in OF_THE_MACHINE:
        return own
    for part in key.parts:
        if not part.may_lack and part.option not in own:
            raise Unfit(f"repo{number}-{part.option} is not in it.")
    return own


def signed_in(found: RepositoryOptions, own: Mapping[str, str]) -> RepositoryOptions:
    """Return how the store is reached with a key of one's own, instead of the one that the console would give."""
    key = found.brought_key
    assert key is not None
    # A file that does not say the key's type means pgBackRest's default, which may be another than the console's.
    there = tuple((name, value) for name, value in key.options if name not in {*own, key.type})
    secret = frozenset(name for name in own if OPTIONS[f"repo-{name}"].is_secret)
    return replace(found, options=(*there, *own.items()), secret=secret, files=(), lacks="")
