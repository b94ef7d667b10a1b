"""What a report of an unexpected error may hold: where it happened, and no value that was at hand there."""

from __future__ import annotations

import re
from types import FrameType
from typing import Any, ClassVar

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class Filter(SafeExceptionReporterFilter):
    """Keeps every variable and all that was posted out of reports: any of them may hold a secret, or be named oddly."""

    # An address may have a password in it: REDIS_URL, DATABASE_URL.
    hidden_settings: ClassVar[re.Pattern[str]] = re.compile(  # type: ignore[misc]
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|COOKIE|URL", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        """Return that nothing is shown, also while someone develops."""
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        """Return the names of what was posted."""
        return {} if request is None else dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> Any:
        """Return the names of the variables."""
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]
