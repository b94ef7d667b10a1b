"""`python -m storekeeper` is the command."""

from .command import run

run()
