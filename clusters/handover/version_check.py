"""Whether a machine's pgBackRest can work with what the node is handed, asked before anything is changed. Pure."""

from __future__ import annotations

import shlex

from clusters.pgbackrest.configuration import Configuration, least

# As the user of PostgreSQL: from 2.59 on pgBackRest does little as root. Without one, there is nothing to be wrong yet.
FUNCTION = r"""
has_pgbackrest() { # LEAST, and what asks for it
  have=$(as_user pgbackrest version 2>/dev/null < /dev/null | cut -d' ' -f2) || have=
  [ -z "$have" ] || [ "$(printf '%s\n' "$1" "$have" | sort -V | head -n 1)" = "$1" ] ||
    refuse "This machine has pgBackRest $have, and needs $1 or newer: $2. Install that first."
}
"""


def version_check(configuration: Configuration) -> list[str]:
    """Return the lines of root's script that refuse a machine whose pgBackRest is too old."""
    number, why = least(configuration)
    return [FUNCTION, f"has_pgbackrest {number} {shlex.quote(why)}"]
