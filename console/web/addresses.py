"""Addresses of views, as reverse() makes them, each made once: a page of a list has a hundred. Knows no app."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from django.urls import get_script_prefix, reverse

PLAIN = (UUID, str, int)  # arguments that are always written the same


def address(view: str, *arguments: object) -> str:
    """Return the address of a view; raises NoReverseMatch. It depends on nothing but what is given."""
    if all(type(one) in PLAIN for one in arguments):
        return _kept(get_script_prefix(), view, *arguments)
    return reverse(view, args=arguments)


@lru_cache(maxsize=8192, typed=True)  # 1 and True are equal, and not written the same
def _kept(prefix: str, view: str, *arguments: object) -> str:
    return reverse(view, args=arguments)
