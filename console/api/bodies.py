"""What the body of a call is made of: no field that is not known, and no text that a database would not take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

LONGEST = 500  # characters of a text

# RFC 3339; a number of seconds, which pydantic would take too, is none.
Moment = Annotated[AwareDatetime, Field(strict=False), WithJsonSchema({"type": "string", "format": "date-time"})]


class Body(Schema):
    """The base of what a call is sent."""

    model_config = ConfigDict(extra="forbid", str_max_length=LONGEST)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if any("\x00" in text for text in _texts(value)):
            raise PydanticCustomError("nul", "NUL is no character of a text.")
        return value


def sent(*, longest: int = LONGEST, **example: Any) -> ConfigDict:
    """Return the settings of a body, with an example of it for the OpenAPI file."""
    return ConfigDict(extra="forbid", str_max_length=longest, json_schema_extra={"examples": [example]})


def typed(at: datetime) -> str:
    """Return a time as people type it into a form: in UTC, to the second."""
    try:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:  # the first or the last day that there is
        return str(at)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(name)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
