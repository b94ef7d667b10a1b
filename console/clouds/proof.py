"""What shows that whoever links an account may use it, for each way to sign in; and that nothing is done before.

An identity of the console's own opens the accounts of all organisations that trust it. The IDs that name an account are
no secrets, so with them alone anybody could have the console use somebody else's account (the confused deputy). Against
that there is the external ID: random, made by the console for each link, never chosen by whoever links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from console.clouds.steps import Failed

TAG = "storekeeper:external-id"  # what stands before the external ID, where a name or a text can
NO_ID = "This link has no external ID, with which it could be proven. Open Link Cloud Account anew."
FOUND = "proven_id"  # among an account's settings: the external ID that was found when it last proved itself


class NotProven(Failed):
    """The link has not proved itself, so nothing was asked of the cloud."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A way in which the console signs in to an account. What proves the link has no default: each way decides it.

    "secret": whoever links enters a secret of the account's own, and to have that is the proof.
    "cloud": the cloud lets the console in with the link's external ID only, at each sign-in, and linking tries that.
    "console": the cloud would let the console in for anybody who knows the IDs, so the console itself looks for the
    link's external ID in the account, when it is linked and at each verification; all other calls ask ensure_proven().
    """

    key: str  # of the field "method"; nothing where there is but one way
    label: str
    proof: Literal["secret", "cloud", "console"]
    where: str = ""  # where the external ID has to stand, such as "the description of the service account"
    # The command that puts it there, of the account's settings; also before linking, when only that ID is known.
    command: Callable[[Mapping[str, str]], str] = lambda settings: ""

    @property
    def takes_external_id(self) -> bool:
        """Return whether a link is proven by an external ID."""
        return self.proof != "secret"


def stands_in(text: str, settings: Mapping[str, str]) -> bool:
    """Return whether the link's external ID stands in this text, alone or among others."""
    wanted = settings.get("external_id", "")
    return bool(wanted) and re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", text) is not None


def on_trial(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with which `identify` alone may look for the proof that is not there yet."""
    return {**settings, FOUND: settings.get("external_id", "")}


def is_proven(way: SignIn, settings: Mapping[str, str]) -> bool:
    """Return whether the account may be used as far as its proof goes; who is not let in is told so by the cloud."""
    wanted = settings.get("external_id", "")
    return way.proof != "console" or (bool(wanted) and settings.get(FOUND) == wanted)


def ensure_proven(way: SignIn, settings: Mapping[str, str]) -> None:
    """Raise NotProven, with what to do, while the account has not proved itself; to be called before each call."""
    if not is_proven(way, settings):
        raise NotProven(refusal(way, settings))


def refusal(way: SignIn, settings: Mapping[str, str]) -> str:
    """Return why nothing is done with an account that has not proved itself, and what to do."""
    given = settings.get("external_id", "")
    return (
        "Nothing is done in this account before whoever administers it has shown that your organisation may use it. "
        f"Put the external ID {given} into {way.where}, then press Verify now on the account's page."
    )


def goes_into_files(way: SignIn, settings: Mapping[str, str]) -> bool:
    """Return whether the external ID is for the files that set up the access: before a way is chosen, too."""
    return bool(settings.get("external_id")) and settings.get("method", way.key) == way.key
