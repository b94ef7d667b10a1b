"""What a page of documentation says to type, to be run as it stands."""

from __future__ import annotations

import re

COMMENT = r"(?:<!-- (?P<why>not run: [^>]+?) -->\n)?"
BLOCK = re.compile(COMMENT + r"```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh", "python"}


def blocks(text):
    """Return what is to be run, in order: its kind and its text. What is not says why in a comment before it."""
    found = [one for one in BLOCK.finditer(text) if one["kind"] in RUN]
    return [(one["kind"], one["text"]) for one in found if not one["why"]]
