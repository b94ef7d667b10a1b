"""The script with which a node tells the console what is applied on it. Pure."""

from __future__ import annotations

import shlex

from clusters.pgbackrest.configuration import Configuration, StanzaConfiguration
from clusters.pgbackrest.layout import File
from clusters.pgbackrest.root_script import MACHINE

# What a node is asked for its report. A standby is on no timeline of its own.
SYSTEM_ID = "SELECT system_identifier FROM pg_control_system()"
TIMELINE = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int WHERE NOT pg_is_in_recovery()"


def report_script(configuration: Configuration, address: str, token: str, ca_file: str = "") -> File:
    """Return the script that tells the console, at that address, which file the node has; it holds the token.

    `ca_file` has the certificates that the console's is checked against; "": those of the machine.
    """
    layout = configuration.layout

    def psql(one: StanzaConfiguration) -> str:
        return f"{layout.psql(one.postgresql)} -XAtq -p {one.port}"

    ids = "".join(
        f'  --data-urlencode "{what}.{stanza.name}=$({psql(stanza)} -d postgres -c "{query}")" \\\n'
        for stanza in configuration.stanzas
        for what, query in (("system_id", SYSTEM_ID), ("timeline", TIMELINE))
    )
    # The token goes in by standard input: a command line can be read by every user of the node.
    return File(
        layout.report,
        "#!/bin/sh\n# Tells Storekeeper which pgBackRest configuration this node has.\n"
        f"curl -fsS --max-time 20 {f'--cacert {ca_file} ' if ca_file else ''}--config - \\\n"
        f'  --data-urlencode "sha256=$(sha256sum < {layout.configuration} | cut -d" " -f1)" \\\n'
        '  --data-urlencode "version=$(pgbackrest version | cut -d" " -f2)" \\\n'
        f'  --data-urlencode "machine=$({MACHINE})" \\\n'
        f'{ids}  {shlex.quote(address)} <<END\nheader = "Authorization: Bearer {token}"\nEND\n',
    )
