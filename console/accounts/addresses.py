"""E-mail addresses, so written that everybody and every database agree on which two are the same: in ASCII."""

from __future__ import annotations

import unicodedata

WRONG = (
    "Write the address in letters from A to Z, as mail servers know it: {} could be taken for another one. A domain in "
    "other letters begins with xn-- there."
)


def normalised(address: str) -> str:
    """Return the address as it is kept: as it was given, with its domain as DNS has it; raises ValueError, with why.

    Django's pattern, which ignores case, lets four letters beyond ASCII through: the long s, two of Turkish's i, and
    the sign of kelvin. PostgreSQL's UPPER and LOWER, SQLite's and Python's each take others of them for s, i and k.
    """
    name, at, given = address.rpartition("@")
    domain = unicodedata.normalize("NFC", given).lower()
    try:
        known = domain.encode("idna").decode("ascii")
        # In small letters the sign of kelvin is a k; and IDNA 2003 writes others as some of ASCII (ß as ss): that would
        # be somebody else's domain.
        remains = sum(map(str.isascii, domain)) == sum(map(str.isascii, given))
        if not given.isascii() and not (remains and known.encode().decode("idna") == domain):
            raise ValueError(domain)
        return f"{name.encode('ascii').decode()}{at}{known}"
    except ValueError:  # as all of UnicodeError
        raise ValueError(WRONG.format(address)) from None
