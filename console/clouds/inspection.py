"""Looking at both buckets of a store: what each control wants, what is there, and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from console.clouds.contract import Control
from console.clouds.steps import StepError

PRESENCE = "bucket"  # the key of the finding that a bucket is gone
GONE = frozenset({"NoSuchBucket", "ResourceNotFound", "notFound"})  # how S3, Azure and Google say so


@dataclass(frozen=True)
class Finding:
    """What was seen of one control; `observed` is plain data, the words are for people."""

    key: str
    label: str
    bucket: str
    log: bool
    state: Literal["ok", "off", "gone", "unseen"]
    wanted_words: str
    words: str
    wanted: Any = None
    observed: Any = None
    fixed: bool = False
    statement: str = ""  # that would let the console see it
    repairable: bool = True  # a repair would make what is wanted of it


def inspect(controls: Iterable[Control]) -> list[Finding]:
    """Return a finding for each control; of a bucket that is gone, the one that says so. Raises NotReady.

    S3 answers NoSuchBucket for a bucket that is gone and AccessDenied for one that we may not see, or that has become
    another account's (S3 API reference, "Error responses").
    """
    found = []
    for _, group in groupby(controls, key=lambda control: control.bucket):
        for control in group:
            finding = _look(control)
            found.append(finding)
            if finding.state == "gone":
                break
    return found


def _look(control: Control) -> Finding:
    try:
        observed = control.observe()
    except StepError as error:
        if error.details.get("code") in GONE:
            return Finding(PRESENCE, "Bucket", control.bucket, control.log, "gone", "There", "Deleted")
        if not error.details.get("action"):
            raise
        statement = error.details.get("statement", "")
        return _finding(control, "unseen", f"Not seen: {error.details['action']} is refused", statement=statement)
    state: Literal["ok", "off"] = "ok" if control.matches(observed) else "off"
    repairable = state == "ok" or control.repairable(observed)
    return _finding(control, state, control.describe(observed), observed=observed, repairable=repairable)


def judged(control: Control, finding: Finding) -> Finding:
    """Return what was seen before, held against this control; nothing is asked again."""
    if finding.state not in {"ok", "off"}:
        return finding
    observed = finding.observed
    state: Literal["ok", "off"] = "ok" if control.matches(observed) else "off"
    repairable = state == "ok" or control.repairable(observed)
    return _finding(control, state, control.describe(observed), observed=observed, repairable=repairable)


def _finding(control: Control, state: Literal["ok", "off", "unseen"], words: str, **more: Any) -> Finding:
    return Finding(
        key=control.key,
        label=control.label,
        bucket=control.bucket,
        log=control.log,
        state=state,
        wanted_words=control.describe(control.wanted),
        words=words,
        wanted=control.wanted,
        fixed=control.fixed,
        **more,
    )
