"""What calls cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prices:
    """What a cloud asks for calls, in US dollars for 1,000 of them, where nothing else was agreed on.

    It is for an estimate: other regions and kinds of storage cost more or less.
    """

    lists: float
    reads: float
    of: str  # of which kind of storage, where
    source: str  # the address of its price list
