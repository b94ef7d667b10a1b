"""How strong a password is, as whoever guesses would go about it: told while it is typed, and asked of a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import User

TOLD_BEFORE = gettext_lazy(
    "At least twelve characters, none that many people use or guess soon, and nothing like your name."
)
LEVELS = (
    gettext_lazy("Very weak"),
    gettext_lazy("Weak"),
    gettext_lazy("Fair"),
    gettext_lazy("Strong"),
    gettext_lazy("Very strong"),
)
ENOUGH = 3  # of 0 to 4: more than 10^8 guesses, which is beyond what is tried at a sign-in (zxcvbn, "Usage")
# zxcvbn tries each letter that a sign may stand for: 72 characters of twenty different signs take it 15 seconds, of ten
# a tenth of one. So less is looked at of what has more of them: no list of words has that.
LOOKED_AT, SIGNS, LOOKED_AT_SIGNS = 72, 10, 24
OURS = ("storekeeper", "pgbackrest", "postgres", "postgresql")


@dataclass(frozen=True)
class Strength:
    """What a password is worth, from 0 to 4, and what would make it better."""

    score: int
    advice: str

    @property
    def level(self) -> str:
        """Return the score in words."""
        return str(LEVELS[self.score])


def strength(password: str, user: User | None = None) -> Strength:
    """Return how strong it is; what is known of the person is guessed first. Nothing of it is kept or shown."""
    if not password:
        return Strength(0, "")
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words take memory, which most processes need not spend

    about = [user.username, *user.email.replace("@", ".").split("."), user.first_name, user.last_name] if user else []
    known = [*OURS, *(one for one in about if one)]
    signs = {one for one in password if not one.isalpha()}
    found = zxcvbn(password[: LOOKED_AT_SIGNS if len(signs) > SIGNS else LOOKED_AT], user_inputs=known)
    feedback = found["feedback"]
    return Strength(int(found["score"]), " ".join(filter(None, [feedback["warning"], *feedback["suggestions"]])))


class StrengthValidator:
    """One of AUTH_PASSWORD_VALIDATORS: refuses what is guessed soon."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError for a password that is too weak."""
        found = strength(password, user if isinstance(user, User) else None)
        if found.score < ENOUGH:
            raise ValidationError(
                gettext("This password is guessed too soon. {advice}").format(advice=found.advice).strip(),
                "password_too_weak",
            )

    def get_help_text(self) -> str:
        """Return the rule, as the forms tell it."""
        return gettext("Your password must not be one that is guessed soon.")
