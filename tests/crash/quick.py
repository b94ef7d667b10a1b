"""The same, with leases that run out soon, so that tests need not wait for them."""

from tests.crash.quiet import *  # noqa: F403

LEASE_SECONDS = 2
