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
LOADING = 100_000  # new objects after which Python looks for garbage while modules are loaded
_usual = gc.get_threshold()


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


def load() -> None:
    """Look for garbage rarely while modules are loaded: what they hold stays to the end.

    A fifth of the time in which a process starts goes into these searches otherwise. A process that serves or works
    ends this with settle(); a command of a few seconds need not.
    """
    if gc.isenabled():
        gc.set_threshold(LOADING, *_usual[1:])


def settle() -> None:
    """Leave all that is loaded by now out of all later searches for garbage, which come as often as usual again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_usual)
