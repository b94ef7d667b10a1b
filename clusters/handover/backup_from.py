"""Which host of a replication makes a backup: decided when it is due, so that a failover changes nothing. Pure.

pgBackRest's lock holds on one machine. Where two hosts begin one all the same, as when one cannot reach the other, the
database takes one of them: each holds an advisory lock in the primary, and the second ends with error 50.
"""

from __future__ import annotations

import shlex

from clusters.pgbackrest.configuration import Configuration, OtherHost, StanzaConfiguration

# standby: follows a primary now; behind: does not; primary. Everything in single quotes, for the shell of another host.
STATE = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'primary' "
    "WHEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 'standby' ELSE 'behind' END"
)
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10"  # never asks for anything


def is_to_back_up(configuration: Configuration) -> str:
    """Return the shell function that says whether this host is to back up the stanza, "$1"; it prints nothing.

    Where backups are made from standbys, it has pgBackRest do so by the environment and not by the file: a backup by
    hand on the primary is made whether a standby is up or not.
    """
    if not any(stanza.others for stanza in configuration.stanzas):
        return "is_to_back_up() { # STANZA: there is one host\n  :\n}\n"
    cases = [line for one in configuration.stanzas for line in _case(configuration, one)]
    # What a host has left, it expires whichever it is now.
    expires = '  [ "${kind:-}" != expire ] || return 0'
    return "\n".join(["is_to_back_up() { # STANZA", expires, "  case $1 in", *cases, "  esac", "}", ""])


def _case(configuration: Configuration, stanza: StanzaConfiguration) -> list[str]:
    psql = configuration.layout.psql(stanza.postgresql)
    state = f"$({_ask(psql, stanza.port)} 2>/dev/null)"
    # pgBackRest reads the timeline in pg_control: after a promotion the old one, until a checkpoint is complete (error
    # 58). A backup begins with one all the same (start-fast).
    checkpoint = f"{psql} -Xq -p {stanza.port} -d postgres -c CHECKPOINT >/dev/null 2>&1 || :"
    lines = [f"    {stanza.name})", f"      case {state} in"]
    if not configuration.backs_up_from_standby:
        return [*lines, "        standby|behind) return 1 ;;", f"        *) {checkpoint} ;;", "      esac", "      ;;"]
    before = [one for one in stanza.reachable if one.is_before]
    return [
        *lines,
        "        behind) return 1 ;;",
        "        standby)",
        *(f"          {_is_standby(one, psql)} && return 1" for one in before),
        "          PGBACKREST_BACKUP_STANDBY=y",
        "          ;;",
        "        *)",
        *(f"          {_is_standby(one, psql)} && return 1" for one in stanza.reachable),
        "          PGBACKREST_BACKUP_STANDBY=n",
        f"          {checkpoint}",
        "          ;;",
        "      esac",
        "      export PGBACKREST_BACKUP_STANDBY",
        "      ;;",
    ]


def _ask(psql: str, port: int) -> str:
    return f'{psql} -XAtq -p {port} -d postgres -c "{STATE}"'


def _is_standby(host: OtherHost, psql: str) -> str:
    asked = f"{ssh(host)} {shlex.quote(_ask(psql, host.port))}"
    return f'[ "$({asked} </dev/null 2>/dev/null)" = standby ]'


def ssh(host: OtherHost) -> str:
    """Return how a host reaches another one, up to the command; pgBackRest does it alike."""
    return f"{SSH} -p {host.ssh_port} {host.user}@{host.address}"
