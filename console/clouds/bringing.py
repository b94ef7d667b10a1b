"""The life of a store whose bucket was there before, once for every cloud: look, bring in, withdraw, forget.

What is in the bucket, its settings and what others have written of it stay as they are, but for what was chosen. Its
bucket is never emptied and never deleted: no plan here has a step that could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from console.clouds import lifecycle
from console.clouds.contract import Cloud
from console.clouds.existing import Proof, TakenOver
from console.clouds.inspection import PRESENCE, Finding, inspect, judged
from console.clouds.lifecycle import ACCESS_LOGGING, Differing
from console.clouds.naming import lower_first
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, Plan, Stage, Step, StepError, StepResult

TAGS = "tags"  # the key of the control that says whose a bucket is


def proof(cloud: Cloud, account: AccountRef) -> Proof:
    """Return what shows on a bucket of the account whose it is."""
    words = cloud.vocabulary
    return cloud.existing.other_proof(account) or Proof(words.tag, f"{words.tag}s", f"{words.owner_tag}=")


# Looking


def look(cloud: Cloud, spec: StoreSpec) -> list[Finding]:
    """Return what the backup bucket has, held against what it would have as a store's; nothing is written."""
    left_out = cloud.existing.left_out
    controls = [one for one in cloud.storage.settings(spec) if not one.log and one.offered and one.key not in left_out]
    seen = inspect(controls)
    if any(one.key == PRESENCE for one in seen):
        raise Failed(f"{cloud.vocabulary.bucket.capitalize()} {spec.bucket} is not there any more.", bucket=spec.bucket)
    there = {one.key: one.observed for one in seen if one.state in {"ok", "off"}}
    taken = replace(spec, taken_over=TakenOver(there))
    return [judged(cloud.existing.adjusted(taken, control), one) for control, one in zip(controls, seen, strict=True)]


# Bringing in


def bringing(cloud: Cloud, spec: StoreSpec, *, tag: bool, chosen: Iterable[Differing]) -> Plan:
    """Return the plan that makes the bucket a store's: ownership first, then its logs, then what was chosen.

    `tag` lets the console set the store's tags, on a bucket that carries none. Whose it is is read again at the end.
    """
    noun, tags = cloud.vocabulary.bucket, proof(cloud, spec.account).all
    checked = Step("check_owner", f"Checking whose the {noun} is", partial(_check_owner, cloud, tag))
    stages = [Stage(checked)]
    if tag:
        run = partial(lifecycle._set, cloud, [TAGS], False)
        stages.append(Stage(Step("set_backup_tags", f"Setting the store's {tags} on the {noun}", run)))
    if _has_own_log_bucket(spec):
        stages += _log_stages(cloud)
    for one in chosen:
        run = partial(lifecycle._set, cloud, [one.key], False)
        stages.append(Stage(Step(f"set_backup_{one.key}", f"Setting {lower_first(one.label)} of the {noun}", run)))
    if spec.log_bucket:
        run = partial(lifecycle._set, cloud, [ACCESS_LOGGING], False)
        stages.append(Stage(Step("set_backup_logging", "Turning on access logging", run)))
    again = Step("check_owner_again", f"Checking again whose the {noun} is", partial(_check_owner, cloud, False))
    return (*stages, Stage(again))


def _log_stages(cloud: Cloud) -> list[Stage]:
    wanted = [[one for one in stage if one.bucket == "log" and not one.only_with] for stage in cloud.creation]
    return [
        lifecycle._log_stage(cloud),
        *(Stage(*(lifecycle._set_step(cloud, one) for one in stage)) for stage in wanted if stage),
    ]


def _has_own_log_bucket(spec: StoreSpec) -> bool:
    return bool(spec.log_bucket and spec.taken_over and not spec.taken_over.logs_named)


def _check_owner(cloud: Cloud, may_lack_tag: bool, spec: StoreSpec) -> None:
    """Raise Failed unless the bucket shows that it is this store's, or nobody's where the console may say so."""
    words, shows = cloud.vocabulary, proof(cloud, spec.account)
    found = cloud.existing.owner(spec)
    if found is None:
        raise Failed(f"There is no {words.bucket} {spec.bucket} {words.here} any more.", bucket=spec.bucket)
    if found == "" and not may_lack_tag:
        raise Failed(
            f"{words.bucket.capitalize()} {spec.bucket} does not carry the {shows.one} {shows.before}{spec.id}, so "
            "nothing shows that it may be added. Set it, then try again.",
            bucket=spec.bucket,
        )
    if found not in {"", str(spec.id)}:
        raise Failed(
            f"{words.bucket.capitalize()} {spec.bucket} carries the {shows.one} of another store, {found}. It was "
            "left alone.",
            bucket=spec.bucket,
        )
    if spec.taken_over and spec.taken_over.logs_named:
        _check_logs(cloud, spec)


def _check_logs(cloud: Cloud, spec: StoreSpec) -> None:
    words, found = cloud.vocabulary, cloud.storage.owner(spec, spec.log_bucket)
    if found is None:
        raise Failed(f"There is no {words.bucket} {spec.log_bucket} {words.here} to log into.", bucket=spec.log_bucket)
    if found not in {"", str(spec.id)}:
        raise Failed(
            f"{words.bucket.capitalize()} {spec.log_bucket} is another store's, so nothing else is logged into it.",
            bucket=spec.log_bucket,
        )


# Letting go


def withdrawal(cloud: Cloud, *, tagged: bool, made_logs: bool) -> Plan:
    """Return the plan that takes back what an unfinished plan has made: the log bucket, then the tags that it set."""
    return (*_ending_logs(cloud, made_logs=made_logs, keep_logs=False), _letting_go(cloud, tagged=tagged))


def forgetting(cloud: Cloud, *, tagged: bool, made_logs: bool, keep_logs: bool) -> Plan:
    """Return the plan that leaves the bucket to its owner: nothing in it, or set on it, is touched but the tags.

    And those only if the console has set them. A log bucket that the console made goes as any store's does.
    """
    return (*_ending_logs(cloud, made_logs=made_logs, keep_logs=keep_logs), _letting_go(cloud, tagged=tagged))


def _ending_logs(cloud: Cloud, *, made_logs: bool, keep_logs: bool) -> list[Stage]:
    if not made_logs:
        return []
    noun = cloud.vocabulary.bucket
    logs = (
        Step("keep_logs", "Leaving the access logs to expire", partial(lifecycle._keep_logs, cloud))
        if keep_logs
        else Step("delete_logs", f"Deleting the access logs and their {noun}", partial(lifecycle._delete_logs, cloud))
    )
    return [Stage(Step("stop_logging", "Turning off access logging", partial(_stop_logging, cloud))), Stage(logs)]


def _letting_go(cloud: Cloud, *, tagged: bool) -> Stage:
    noun = cloud.vocabulary.bucket
    title = f"Giving the {noun} back to its owner" if tagged else f"Leaving the {noun} as it is"
    return Stage(Step("let_go", title, partial(_let_go, cloud, tagged)))


def _stop_logging(cloud: Cloud, spec: StoreSpec) -> StepResult | None:
    if not _is_still_ours(cloud, spec):
        return None
    left = "Access logging could not be turned off; it leads nowhere now."
    return _if_possible(partial(cloud.existing.stop_logging, spec), left)


def _let_go(cloud: Cloud, tagged: bool, spec: StoreSpec) -> StepResult | None:
    shows = proof(cloud, spec.account)
    if not tagged:
        return StepResult(note=f"Its {shows.all}, which the console has not set, stayed.")
    if not _is_still_ours(cloud, spec):
        return StepResult(note=f"It carries no {shows.one} of this store, or is not shown to the console any more.")
    return _if_possible(partial(cloud.existing.untag, spec), f"Its {shows.all} could not be taken off.")


def _is_still_ours(cloud: Cloud, spec: StoreSpec) -> bool:
    """Return whether the bucket shows that it is this store's; an account that lets nobody in shows nothing."""
    try:
        return cloud.existing.owner(spec) == str(spec.id)
    except NotReady:
        raise
    except StepError:
        return False


def _if_possible(act: Callable[[], None], otherwise: str) -> StepResult | None:
    """Do it; where that is refused say so and go on: what was lent can always be given back."""
    try:
        act()
    except NotReady:
        raise
    except StepError as error:
        return StepResult(note=f"{otherwise} {error.message}")
    return None
