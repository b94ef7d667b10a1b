"""What tests ask of a page, and how they read what it answers."""

from __future__ import annotations

import re

HTMX = {"HX-Request": "true"}


def text_of(answer):
    """Return the page, on one line."""
    return re.sub(r"\s+", " ", answer.content.decode())


def words_of(answer):
    """Return what people read on the page, on one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", text_of(answer)).replace("\xa0", " ").split())
