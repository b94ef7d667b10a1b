"""The clouds as the contract of their providers needs them: emulated, or real; a module for each provider.

Each module has `opened(folder)`, a context manager that lends its World, and keeps what it must in that folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from console.clouds.specs import AccountRef, StoreSpec


class World(Protocol):
    """One cloud, as its provider's tests see it from behind: what stands there, and what can go wrong.

    `proof` says what it is: "emulator" (somebody else's or ours, which speaks the cloud's protocol), "server" (the real
    thing, on this machine) or "live" (a real account).
    """

    key: str
    proof: str
    regions: tuple[str, ...]  # those in which something differs; the first is the usual one
    faults: tuple[str, ...]  # those that `fault` knows: denied, busy, broken, reset before, reset after
    # By plan: the calls that may be denied, each as often as it may, because a later call tells as much.
    denials_survived: Mapping[str, tuple[str, ...]]

    def account(self) -> AccountRef:
        """Return a linked account that may do all that the provider's plans need."""

    def signing_in(self, method: str) -> AccountRef:
        """Return an account as it is linked by that way to sign in, with all that stands there for it but the proof.

        It has no external ID: that is the organisation's own.
        """

    def prove(self, account: AccountRef) -> None:
        """Put the account's external ID, and no other, where its cloud wants it, as an administrator does."""

    def look(self) -> dict[str, Any]:
        """Return everything that stands, by kind and name, as plain data without times and other passing things.

        What the provider's own calls see is no proof: this reads the emulator's memory, or asks in another way.
        """

    def put(self, spec: StoreSpec, key: str, data: bytes) -> None:
        """Write an object into the backup bucket, as a node does."""

    def take(self, spec: StoreSpec, key: str) -> None:
        """Delete an object from the backup bucket, as a node does, or who has its key."""

    def put_log(self, spec: StoreSpec) -> None:
        """Write an access log into the log bucket, as the cloud does."""

    def wipe(self, spec: StoreSpec) -> None:
        """Empty the backup bucket, as an administrator does."""

    def occupy(self, spec: StoreSpec, *, log: bool) -> None:
        """Give the name of the store's backup bucket, or of its log bucket, to something that is not the store's."""

    def spoils(self, spec: StoreSpec) -> Mapping[str, Callable[[], None]]:
        """Return changes of a store's buckets by hand: each makes the control of that key, and others, differ."""

    def fault(self, name: str, nth: int) -> None:
        """Spoil the nth call from now on, counted from 1, once; "reset after": the cloud acts and no answer comes."""

    def clear_faults(self) -> None:
        """Spoil nothing any more."""

    def faults_met(self) -> int:
        """Return how many calls were spoilt since the last `clear_faults`, counted where it was done."""

    def calls(self) -> list[str]:
        """Return the calls since the last `forget`, each as one line: operation and what it was about."""

    def forget(self) -> None:
        """Forget the calls that were made."""

    def clear(self) -> None:
        """Take away everything that stands, and all that is cached of it."""
