"""What a process says that cannot start: one line for whoever has to set something, and no traceback.

And what one does that has started.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from django.core.exceptions import ImproperlyConfigured

REFUSED = 2  # the exit status: as argparse has it for what it was told wrongly


def say_plainly() -> None:
    """Have a process that ends with ImproperlyConfigured say its message, and nothing else."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, ImproperlyConfigured):
            sys.stderr.write(f"{line(error)}\n")
            sys.stderr.flush()
        else:
            before(kind, error, trace)

    sys.excepthook = hook


@contextmanager
def or_exit() -> Iterator[None]:
    """End the process, with the message alone: for servers that would catch the exception and print all of it."""
    try:
        yield
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{line(error)}\n")
        sys.stderr.flush()
        raise SystemExit(REFUSED) from None


def line(error: BaseException) -> str:
    """Return the message as one line."""
    return f"Storekeeper cannot start: {' '.join(str(error).split())}"


def settle() -> None:
    """Leave all that is loaded by now out of all later searches for garbage: it stays to the end."""
    gc.collect()
    gc.freeze()
