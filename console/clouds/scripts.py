"""What is offered to administrators to give the console its access: scripts, in the clouds' packages, with gaps."""

from __future__ import annotations

import json
import re
from pathlib import Path

APPLY = "terraform apply"  # what has a module of Terraform's add what is missing
GAP = re.compile(r"@([a-z_]+)@")


def filled(file: Path, **given: str) -> str:
    """Return the script in the file, which is UTF-8, with its gaps filled, such as @group@; raises KeyError."""
    return GAP.sub(lambda found: given[found[1]], file.read_text(encoding="utf-8"))


def default(value: str, *, width: int = 7) -> str:
    """Return the rest of a variable of Terraform's, a text, after `type`, or with this as its default after that.

    `width` is how wide the names of its arguments are, as `terraform fmt` has them.
    """
    type_ = "" if width > 7 else f"{'' if not value else '   '} = string"
    return type_ + (f"\n  {'default':{width}} = {json.dumps(value)}" if value else "")
