"""The life of a store, once for every cloud: create, check, delete, delete but keep the logs, cancel, repair.

Each function is the order of work, written on the primitives of `Storage`. The plans are what the engine runs, stage by
stage; the steps of one stage touch different buckets and run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from console.clouds.contents import Contents
from console.clouds.contract import AlreadyExists, Cloud, Control, Setting
from console.clouds.inspection import Finding, inspect
from console.clouds.naming import listed, lower_first
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed, NotReady, Plan, Refused, Stage, Step, StepResult, TooLate

ACCESS_LOGGING = "logging"  # the key of the setting that needs the log bucket


def controls(cloud: Cloud, spec: StoreSpec) -> list[Control]:
    """Return what the store's buckets should have: of one that was there before, beside what it had.

    Such a store may have no log bucket, or one that somebody else looks after.
    """
    found = list(cloud.storage.settings(spec))
    if spec.taken_over is None:
        return found
    if not spec.log_bucket or spec.taken_over.logs_named:
        found = [one for one in found if not one.log]
    left_out = {*cloud.existing.left_out, *(() if spec.log_bucket else (ACCESS_LOGGING,))}
    return [
        one if one.log else cloud.existing.adjusted(spec, one) for one in found if one.log or one.key not in left_out
    ]


def owner(cloud: Cloud, spec: StoreSpec, bucket: str) -> str | None:
    """Return the ID of the store that the bucket belongs to; of one that was there before, nothing but its tag says."""
    if spec.taken_over and bucket == spec.bucket:
        return cloud.existing.owner(spec)
    return cloud.storage.owner(spec, bucket)


# Creating


def creation(cloud: Cloud, spec: StoreSpec) -> Plan:
    """Return the plan that creates both buckets, then gives them what they should have."""
    promised = {"versions": bool(spec.versions_days), "lock": bool(spec.lock_days), "": True}
    wanted = [[setting for setting in stage if promised[setting.only_with]] for stage in cloud.creation]
    stages = [Stage(*(_set_step(cloud, setting) for setting in settings)) for settings in wanted if settings]
    return (_create_stage(cloud), *stages)


def _create_stage(cloud: Cloud) -> Stage:
    noun, pace = cloud.vocabulary.bucket, cloud.storage.create_pace
    return Stage(
        Step("create_log_bucket", f"Creating the log {noun}", partial(_create, cloud, True), pace=pace),
        Step("create_backup_bucket", f"Creating the backup {noun}", partial(_create, cloud, False), pace=pace),
    )


def _log_stage(cloud: Cloud) -> Stage:
    return Stage(_create_stage(cloud)[0])


def _create(cloud: Cloud, log: bool, spec: StoreSpec) -> StepResult | None:
    """Create a bucket, or accept the one that an earlier attempt made: one of another store is never configured."""
    bucket, words = spec.log_bucket if log else spec.bucket, cloud.vocabulary
    try:
        return cloud.storage.create(spec, bucket)
    except AlreadyExists:
        found = cloud.storage.owner(spec, bucket)
    if found is None:
        raise NotReady(
            f"{words.name} says that {words.bucket} {bucket} exists, and does not show it yet. If it stays so, try "
            "again.",
            bucket=bucket,
        )
    if found != str(spec.id):
        raise Failed(
            f"A {words.bucket} named {bucket} exists {words.here} and does not belong to this store. It was left "
            "alone. Delete this store here and create it again: it gets another name.",
            bucket=bucket,
        )
    return cloud.storage.adopt(spec, bucket)


def _set_step(cloud: Cloud, setting: Setting) -> Step:
    return Step(setting.step_key, setting.title, partial(_set, cloud, setting.keys, setting.bucket == "log"))


def _set(cloud: Cloud, keys: Collection[str], log: bool, spec: StoreSpec) -> StepResult | None:
    """Give the bucket what these settings want of it, and say what is to be said about that.

    What was promised is looked at first: a stronger promise, which somebody has set by hand, is never weakened.
    """
    chosen = [control for control in controls(cloud, spec) if control.log is log and control.key in keys]
    results = [control.ensure() for control in chosen if not (control.fixed and control.matches(control.observe()))]
    notes = [result.note for result in results if result and result.note]
    kept = next((result.keep for result in results if result and result.keep is not None), None)
    return StepResult(note=" ".join(dict.fromkeys(notes)), keep=kept) if notes or kept else None


# Checking


def check(cloud: Cloud, spec: StoreSpec) -> list[Finding]:
    """Return what both buckets have of what they should have; raises a StepError when that could not be found out."""
    return inspect(control for control in controls(cloud, spec) if control.offered)


# Repairing


@dataclass(frozen=True)
class Differing:
    """A setting that differs from what is wanted."""

    log: bool
    key: str
    label: str


def repair(cloud: Cloud, spec: StoreSpec, *, gone: Collection[bool], differing: Iterable[Differing]) -> Plan:
    """Return the plan that brings these settings back, and nothing else; `gone` says which buckets are: log is True.

    A bucket that is made again gets all that it should have; the other one keeps what was accepted of it. The tags come
    first: they say whose the buckets are. The log bucket comes before anything logs into it.
    """
    noun = cloud.vocabulary.bucket
    settings = [setting for setting in differing if setting.key != "tags"]
    if gone:
        settings += [
            Differing(control.log, control.key, control.label)
            for control in controls(cloud, spec)
            if control.log in gone and control.key != "tags" and control.offered
        ]
    own = Stage(
        *(
            Step(f"check_{side}_owner", f"Checking whose the {side} {noun} is", partial(_set, cloud, ["tags"], log))
            for side, log in (("log", True), ("backup", False))
        )
    )
    stages = [_create_stage(cloud)] if gone else []
    if gone and spec.taken_over:
        stages = [_log_stage(cloud)]  # a backup bucket that was there before is never made again
    for setting in sorted(settings, key=lambda setting: not setting.log):
        side = "log" if setting.log else "backup"
        title = f"Setting {lower_first(setting.label)} of the {side} {noun}"
        run = partial(_set, cloud, [setting.key], setting.log)
        stages.append(Stage(Step(f"set_{side}_{setting.key}", title, run)))
    if any(not setting.log for setting in settings):
        proofs = [setting for stage in cloud.creation for setting in stage if setting.proves]
        stages += [Stage(_set_step(cloud, setting)) for setting in proofs]
    return (*stages[:1], own, *stages[1:]) if gone else (own, *stages)


# Deleting


def deletion(cloud: Cloud, *, keep_logs: bool) -> Plan:
    """Return the plan that deletes the store: never an object of the backup bucket, with its access logs or without.

    The log bucket comes last: it still takes the log of the backup bucket's deletion.
    """
    noun = cloud.vocabulary.bucket
    logs = (
        Step("keep_logs", "Leaving the access logs to expire", partial(_keep_logs, cloud))
        if keep_logs
        else Step("delete_logs", f"Deleting the access logs and their {noun}", partial(_delete_logs, cloud))
    )
    return (
        Stage(Step("check_empty", f"Checking that the backup {noun} is empty", partial(_check_empty, cloud))),
        Stage(
            Step(
                "delete_backup_bucket",
                f"Deleting the backup {noun}",
                partial(_delete_backup_bucket, cloud),
                point_of_no_return=True,
            )
        ),
        Stage(logs),
    )


def cancellation(cloud: Cloud) -> Plan:
    """Return the plan that puts back what an unfinished deletion has changed."""
    return (Stage(Step("put_back", "Putting back what the deletion had changed", partial(_cancel, cloud))),)


def contents(cloud: Cloud, spec: StoreSpec, tell: Callable[[int], None]) -> Contents:
    """Return what the backup bucket holds; `tell` gets how much was counted so far."""
    if not _is_ours(cloud, spec, spec.bucket):
        return Contents(exists=False)
    return cloud.storage.contents(spec, spec.bucket, tell)


def clear_logs(cloud: Cloud, spec: StoreSpec, *, over: bool) -> bool:
    """Return whether the log bucket that was kept is gone; when all is over, the empty bucket is deleted."""
    if not _is_ours(cloud, spec, spec.log_bucket):
        return True
    storage = cloud.storage
    return over and storage.contents(spec, spec.log_bucket).is_empty and storage.delete(spec, spec.log_bucket)


def _is_ours(cloud: Cloud, spec: StoreSpec, bucket: str) -> bool:
    """Say whether the bucket exists and is this store's; deleting a store touches no other."""
    found, words = owner(cloud, spec, bucket), cloud.vocabulary
    if found == "" and spec.complete:
        raise Failed(
            f"{words.bucket.capitalize()} {bucket} does not carry this store's {words.tag}; it is left alone. Put the "
            f"{words.tag} {words.owner_tag}={spec.id} back on it, or delete the {words.bucket} {words.at}, then delete "
            "the store again.",
            bucket=bucket,
        )
    return found == str(spec.id)


def _check_empty(cloud: Cloud, spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup bucket."""
    if _is_ours(cloud, spec, spec.bucket):
        _refuse_unless_empty(cloud, spec)


def _delete_backup_bucket(cloud: Cloud, spec: StoreSpec) -> None:
    """Close the backup bucket, look once more, and delete it."""
    storage = cloud.storage
    if spec.taken_over:
        raise Refused(f"{spec.bucket} was there before. The console never deletes it.", bucket=spec.bucket)
    if not _is_ours(cloud, spec, spec.bucket):
        return
    storage.close(spec)
    _refuse_unless_empty(cloud, spec)
    storage.release(spec)
    if not storage.delete(spec, spec.bucket):
        _refuse_unless_empty(cloud, spec)
        raise NotReady(f"{cloud.vocabulary.name} does not see yet that {spec.bucket} is empty.", bucket=spec.bucket)


def _refuse_unless_empty(cloud: Cloud, spec: StoreSpec) -> None:
    left = cloud.storage.contents(spec, spec.bucket)
    if left.is_empty:
        return
    _put_back(cloud, spec)
    words = cloud.vocabulary
    text = (
        f"The backup {words.bucket} still holds {listed(left.counts)}. Empty it {words.at}, then delete the store "
        "again."
    )
    if left.free_at:
        text += f" Object Lock keeps versions until {left.free_words}."
    raise Refused(text, bucket=spec.bucket, commands=cloud.storage.empty_commands(spec, left))


def _delete_logs(cloud: Cloud, spec: StoreSpec) -> None:
    """Delete the access logs and their bucket."""
    storage = cloud.storage
    if not _is_ours(cloud, spec, spec.log_bucket):
        return
    storage.empty(spec, spec.log_bucket)
    if not storage.delete(spec, spec.log_bucket):
        raise NotReady(
            f"{cloud.vocabulary.name} is still delivering late access logs; they are deleted as they come.",
            patience=3600,
        )


def _keep_logs(cloud: Cloud, spec: StoreSpec) -> None:
    """Leave the log bucket where it is, with the rule by which its logs expire."""
    if _is_ours(cloud, spec, spec.log_bucket):
        _set(cloud, ["lifecycle"], True, spec)


def _cancel(cloud: Cloud, spec: StoreSpec) -> None:
    """Put back what was changed; raises TooLate when the backup bucket is gone."""
    if not _is_ours(cloud, spec, spec.bucket):
        raise TooLate(f"The backup {cloud.vocabulary.bucket} {spec.bucket} is not there any more.", bucket=spec.bucket)
    _put_back(cloud, spec)


def _put_back(cloud: Cloud, spec: StoreSpec) -> None:
    """Undo what a deletion that went further has changed of the backup bucket: the store stays in use."""
    if not spec.complete:
        return  # it may never have been so
    closed = [control for control in controls(cloud, spec) if _may_be_closed(cloud, control)]
    for control in closed:
        if control.key == ACCESS_LOGGING and cloud.storage.owner(spec, spec.log_bucket) != str(spec.id):
            continue  # a repair makes the log bucket anew; to cancel a deletion makes nothing
        if not control.matches(control.observe()):
            control.ensure()


def _may_be_closed(cloud: Cloud, control: Control) -> bool:
    return not control.log and control.offered and control.key in cloud.storage.closed_for_deletion
