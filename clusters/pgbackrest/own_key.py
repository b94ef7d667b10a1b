"""The key with which a machine reached its repositories before the console: found in its file, and kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clusters.pgbackrest import config_file
from clusters.pgbackrest.config_file import ConfigFile
from clusters.pgbackrest.grammar import Unfit, is_a_line
from clusters.pgbackrest.options import OPTIONS
from console.clouds.contract import RepositoryOptions

# What signs in, by pgBackRest's type, without repoN-; and the types of key that are a machine's own, so without a key.
SIGNS = {
    "s3": ("s3-key-type", "s3-key", "s3-key-secret", "s3-token", "s3-role"),
    "azure": ("azure-key-type", "azure-key"),
    "gcs": ("gcs-key-type", "gcs-key"),
}
OF_THE_MACHINE = {"auto", "web-id", "pod-id"}


def read(text: str) -> ConfigFile:
    """Return the file, or the lines of one; raises config_file.Refused."""
    has_section = any(line.strip().startswith("[") for line in text.split("\n"))
    return config_file.read(text if has_section else f"[global]\n{text}")


def of_repository(file: ConfigFile, number: int, stanza: str, found: RepositoryOptions) -> dict[str, str]:
    """Return the options that sign in to a repository; raises Unfit, which names what is missing.

    `found` is how the store is reached by the console's own words.
    """
    assert found.brought_key is not None  # each cloud has a way
    kind = dict(found.options)["type"]
    seen = file.seen_by(stanza)
    own = {name: values[0] for name in SIGNS[kind] if (values := seen.get(f"repo{number}-{name}"))}
    if not all(map(is_a_line, own.values())):
        raise Unfit(f"The key of repo{number} has a character that cannot be seen. Write it anew.")
    if own.get(f"{kind}-key-type") in OF_THE_MACHINE:
        return own
    for part in found.brought_key.parts:
        if not part.may_lack and part.option not in own:
            raise Unfit(f"repo{number}-{part.option} is not in it.")
    return own


def signed_in(found: RepositoryOptions, own: Mapping[str, str]) -> RepositoryOptions:
    """Return how the store is reached with a key of one's own, instead of the one that the console would give."""
    assert found.brought_key is not None
    there = tuple((name, value) for name, value in found.brought_key.options if name not in own)
    if "azure-key" in own and "azure-key-type" not in own:  # pgBackRest's default is another than the console's
        there = tuple(one for one in there if one[0] != "azure-key-type")
    secret = frozenset(name for name in own if OPTIONS[f"repo-{name}"].is_secret)
    return replace(found, options=(*there, *own.items()), secret=secret, files=(), lacks="")
