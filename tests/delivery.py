"""What a worker does with a message, in this process."""

from __future__ import annotations

from console.operations import engine


def deliver(pk):
    """Carry out the operation that the message was sent for, by the way that workers go.

    Returns in how many seconds it asks for another message, or None.
    """
    return dict(engine.execute_next(pk)).get(pk)
