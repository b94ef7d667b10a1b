"""Where what is wrong with a database is put right, and who may do that."""

from __future__ import annotations

from dataclasses import dataclass

# What is put right elsewhere than on the node's page, by the code of what is wrong.
PLACES = {
    "account": "account",
    **dict.fromkeys(("out_of_reach", "not_read", "list_unknown"), "store"),
    **dict.fromkeys(
        ("vanished", "gone", "files_gone", "broken", "gap", "not_arrived", "foreign", "no_usable"), "cluster"
    ),
}
# What a viewer is not shown or may not press: the set-up script, Verify, a drill's plan.
BY_MANAGERS = frozenset({"account", "script", "file", "not_applied", "proof_overdue"})


@dataclass(frozen=True)
class Told:
    """One thing that is wrong, what to do about it and at which address, and whether that takes an owner or admin."""

    words: str
    advice: str
    url: str
    by_managers: bool
