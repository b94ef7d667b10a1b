"""What people may enter that goes into pgBackRest's file, into names of units and into commands, each said once. Pure.

pgBackRest takes the rest of a line for an option's value as it is, `"`, `$` and `%` included; it does not strip what
looks like a space and is none. Schedules are in schedules.py: theirs is cron's grammar.
"""

from __future__ import annotations

import re

from console.clouds.naming import KEY_PART

RESERVED = frozenset({"global"})  # a section of the file, so no stanza can have the name
STANZA = re.compile(r"[a-z][a-z0-9_-]*")


class Unfit(ValueError):
    """The text cannot be written there; the message says what to enter instead."""


def stanza(text: str) -> str:
    """Return the stanza's name: a section of the file, and part of units' names; raises Unfit."""
    if text in RESERVED:
        raise Unfit(f"pgBackRest keeps the name {text} for itself. Choose another, such as main.")
    if not STANZA.fullmatch(text):
        raise Unfit("Begin with a lower-case letter; then lower-case letters, digits, - and _. It names the stanza.")
    return text


def data_directory(text: str) -> str:
    """Return the path without a slash at its end, after which a suffix would be a name of its own; raises Unfit.

    A path with // is refused by pgBackRest (error 32), in every command; . and .. would be a second name of a place.
    """
    path = text[:-1] if text.endswith("/") else text
    first, *names = path.split("/")
    if first or not names or {"", ".", ".."} & {*names}:
        raise Unfit("Give the whole path, such as /var/lib/postgresql/17/main, with one / between its names.")
    if not is_a_line(path) or {*"#="} & {*path}:
        raise Unfit(
            "Give the path in letters, digits, signs and plain spaces, without # and =. What cannot be seen, such as a "
            "no-break space or a line end, is refused too."
        )
    return path


def key_part(text: str) -> str:
    """Return the ID or the secret of a key; raises Unfit."""
    if not KEY_PART.fullmatch(text):
        raise Unfit("A key has no spaces, no control characters, and no letters outside ASCII.")
    return text


OS_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # as useradd(8) and shadow's NAME_REGEX take it
HOST = re.compile(r"(?!-)[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@\\-]{0,91}(\.service)?")


def os_user(text: str) -> str:
    """Return the name of a user of the operating system, other than root's; raises Unfit."""
    if text == "root" or not OS_USER.fullmatch(text):
        raise Unfit("Give the user that PostgreSQL runs as, such as postgres: lower-case letters, digits, - and _.")
    return text


def host(text: str) -> str:
    """Return a host's name or its address; raises Unfit."""
    if not HOST.fullmatch(text):
        raise Unfit("Give the name or the address at which the other hosts reach this one, such as 10.0.0.12.")
    return text


def unit(text: str) -> str:
    """Return the name of a service of systemd's; raises Unfit."""
    if not SERVICE.fullmatch(text):
        raise Unfit("Give the unit as systemctl status names it, such as postgresql@17-main or postgresql-17.")
    return text


POINT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .:+/@-]{0,62}")  # PostgreSQL: less than 64 bytes; any, but for us ASCII
LSN = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")
TRANSACTIONS = range(3, 2**32)  # below 3 are PostgreSQL's own


def restore_point(text: str) -> str:
    """Return the name that pg_create_restore_point() was given; raises Unfit."""
    if not POINT.fullmatch(text) or text != text.strip():
        raise Unfit("Give the point's name as it was made: at most 63 letters, digits, spaces and _ . : + / @ -.")
    return text


def lsn(text: str) -> str:
    """Return a WAL position, such as 0/3000148, in capitals; raises Unfit."""
    if not LSN.fullmatch(text.upper()):
        raise Unfit("Give the position as pg_current_wal_lsn() shows it, such as 0/3000148.")
    return text.upper()


def transaction(text: str) -> str:
    """Return a transaction's ID; raises Unfit."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) in TRANSACTIONS):
        raise Unfit("Give the ID as a number from 3 to 4294967295, without an epoch (txid_current() modulo 2^32).")
    return str(int(text))


def is_a_line(text: str) -> bool:
    """Return whether the text is one line that looks as it is: the only space in it is the plain one, inside."""
    return text.isprintable() and text == text.strip()
