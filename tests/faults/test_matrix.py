"""The fault matrix: each reaction at each operation of each plan, walked by the table in tests/faults/table.py.

A reaction is what the product's error table makes of a fault, or the plan itself where the matrix's table says so; one
fault stands for all that lead to the same (tests/faults/reactions.py; each code by itself: test_reactions.py).

What stands when a step is interrupted, and what is done again after it, depend on the call: so a denial, an answer that
is lost and a stranger come at each single call. How an error is met depends on the operation, which a plan calls for
both of a store's buckets: each other reaction comes at one call of each operation, of several each time at another.

The calls are found by a run that nothing disturbs, so a new call is covered, or fails for want of a rule. botocore's
own attempts are as many as in production, without the pauses between them; its requests go to the emulator without a
socket. Nothing else is changed: real steps in real threads, real rows; time passes by what is written in the rows.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pytest
from botocore.retries.standard import ExponentialBackoff
from django.db import transaction

from clusters.models import Cluster
from console.clouds.aws.errors import ACTIONS
from console.clouds.s3api import clients
from console.operations.actions import retry
from console.operations.models import Operation
from stores import actions
from stores.models import Store
from stores.plans import NAMES_AT_MOST
from tests.faults import world
from tests.faults.layer import FOR_EVER, ONE_ANSWER, ONE_CALL, Call, Layer
from tests.faults.plans import PLANS, Create, again, drive, wear_out
from tests.faults.reactions import reaction
from tests.faults.table import FAULTS, RULES, Cannot, Fails, Renamed, Retried

pytestmark = pytest.mark.slow

# At each call: what is final before the server acts, what is retried after it has acted, and what meets something else.
AT_EACH_CALL = {"AccessDenied", "reset after", "a stranger's"}
# What the database's rows say that there is.
NAMED = {"bucket BACKUP", "bucket LOG", "role pgbk-PREFIX", "profile pgbk-PREFIX"}


@dataclass
class Tally:
    """What the matrix came to."""

    cells: int = 0
    unmanaged: int = 0
    touched: int = 0
    wrong: list[str] = field(default_factory=list)


class Walk:
    """The cells of one plan."""

    def __init__(self, plan, account, alice, layer, sample):
        self.plan, self.account, self.alice, self.layer, self.sample = plan, account, alice, layer, sample
        self.tally, self.foreign, self.worn_out = Tally(), {}, set()
        self.undisturbed()

    @contextmanager
    def stage(self, fault=None, at=None, lasts=ONE_CALL):
        """Arm the layer and begin; afterwards all is as it was before, in the cloud and in the database."""
        self.foreign, self.undo = dict(self.standing), lambda: None
        with transaction.atomic():
            self.layer.arm(fault, at, lasts)
            yield self.plan.begin(again(self.before) if self.before else None, self.account, self.alice)
            self.layer.clear_faults()
            transaction.set_rollback(True)
        self.restore()

    def undisturbed(self):
        """Prepare what the plan begins with, then find its calls and what it leads to."""
        world.stand_all_foreign()
        self.standing = world.look()
        self.before = self.plan.prepare(self.account, self.alice)
        self.restore = world.save()
        with self.stage() as subject:
            self.done, runs = drive(subject)
            assert runs == 1
            self.wanted = self.ours(subject)
            self.calls = sorted(call for call in self.layer.calls if self.plan.covers(call))
            self.number = len(self.layer.calls)
        assert self.calls

    def ours(self, subject):
        """Return what stands and is not foreign, with the subject's own names and ID taken out."""
        there = {key: text for key, text in world.look().items() if key not in self.foreign}
        return {self.anonymous(key, subject): self.anonymous(text, subject) for key, text in there.items()}

    def anonymous(self, text, subject):
        if isinstance(subject, Store):
            fresh = Store.objects.filter(pk=subject.pk).first() or subject
            names = [(fresh.log_bucket, "LOG"), (fresh.bucket, "BACKUP")]
        else:
            names = [(subject.prefix, "PREFIX")]
            names += [(store.bucket, f"BUCKET OF {store.name}") for store in Store.objects.all()]
        for name, stands_for in [*names, (str(subject.pk), "ID")]:
            text = text.replace(name, stands_for)
        return text

    def rule(self, fault, call):
        where = f"{self.plan}: {call.operation} {call.on}"
        fitting = [rule for pattern, rule in RULES[fault.name].items() if fnmatchcase(where, pattern)]
        assert fitting, f"no rule says what {fault.name} must lead to at {where}"
        return fitting[-1]

    def cells(self):
        for call, fault, rule in self.chosen():
            for lasts in self.variants(fault, call, rule):
                with self.stage(fault, call, lasts) as subject:
                    wrong = self.cell(subject, fault, call, lasts, rule)
                self.tally.cells += 1
                if wrong:
                    self.tally.wrong.append(f"{self.plan}: {fault.name} at {call}, {lasts}: {'; '.join(wrong)}")
        return self.tally

    def chosen(self):
        """Return what is tried: of the calls where a reaction is alike, one, each time another."""
        alike = {}
        for call in self.calls:
            for kind, fault, rule in self.reactions(call):
                where = call if fault.name in AT_EACH_CALL else call.operation
                alike.setdefault((kind, where), []).append((call, fault, rule))
        each = [(kind, *places[turn % len(places)]) for turn, ((kind, _), places) in enumerate(alike.items())]
        return [cell[1:] for cell in self.sample("faults: reactions at calls", each, by=self.alike)]

    @staticmethod
    def alike(cell):
        """Return what `make test` tries once for each plan: a denial of each operation, each other reaction."""
        kind, call, fault, rule = cell
        return call.operation if fault.name == "AccessDenied" else (kind, repr(rule))

    def reactions(self, call):
        """Return one fault for each reaction: of the error table, or of the plan, where a rule says another."""
        service, seen = "s3" if call.on or "Bucket" in call.operation else "iam", set()
        for fault in FAULTS:
            if fault.service not in ("", service) or fault.name not in self.plan.faults:
                continue
            rule = self.rule(fault, call)
            kind = reaction(fault, call.operation), type(rule), getattr(rule, "patience", None)
            if isinstance(rule, Cannot) or kind in seen:
                continue
            seen.add(kind)
            yield kind, fault, rule

    def variants(self, fault, call, rule):
        if fault.name == "reset after":  # botocore's own next attempt meets what the first one did
            yield ONE_ANSWER
        if not fault.stranger or self.plan.may_be_deleted:
            yield ONE_CALL
        # What is final is so at once: the second time is for leaving it by Delete, and whatever it was is alike then.
        by_delete = self.plan.may_be_deleted and fault.name == "AccessDenied"
        # Giving up leaves at a call what a final answer leaves there: each way to give up is tried once.
        patience = isinstance(rule, Retried) and rule
        if fault.stranger or by_delete or not (isinstance(rule, Fails) or patience in self.worn_out):
            self.worn_out.add(patience)
            yield FOR_EVER

    def cell(self, subject, fault, call, lasts, rule):
        """Walk one cell; returns what is not as wanted."""
        wrong = []
        if lasts == FOR_EVER and isinstance(rule, Retried):
            now, wrong = wear_out(subject, rule.patience)
        else:
            now, runs = drive(subject, runs_at_most=9)
            if runs > 2:
                wrong.append(f"{runs} runs")
        if not self.layer.met:
            return [*wrong, "the fault was never met"]
        failing = isinstance(rule, Fails) or (lasts == FOR_EVER and isinstance(rule, (Retried, Renamed)))
        if failing:
            wrong += self.has_failed(subject, now, fault, call, rule)
            wrong += self.check_foreign() + self.check_unmanaged(subject)
            self.layer.clear_faults()
            if now is None or not now.can_retry:
                return wrong
            wrong += self.leave(now, delete=self.plan.may_be_deleted and isinstance(rule, Fails) and lasts == FOR_EVER)
            now = again(subject)
        else:
            wrong += self.is_done(subject)
            if len(self.layer.calls) > self.number + 8:  # of the step that was interrupted, and no more
                wrong.append(f"{len(self.layer.calls)} calls instead of {self.number}")
        return wrong + self.check_foreign()

    # What is wrong

    def is_done(self, subject):
        wrong = []
        operation = Operation.objects.filter(subject_id=subject.pk).latest("created_at")
        if operation.state != self.plan.ends:
            return [f"{operation.state}: {operation.error}"]
        fresh = again(subject)
        titles = [step["title"] for step in operation.steps]
        done = {step["state"] for step in operation.steps if step.get("undo", False) is (self.plan.ends == "cancelled")}
        if len(set(titles)) != len(titles) or done != {"done"}:
            wrong.append("a step is recorded twice, or not as done")
        if self.done is None and fresh is not None:
            wrong.append("it is still there")
        if self.done is not None and (fresh is None or fresh.state != self.done.state):
            wrong.append("its state is not as wanted")
        if isinstance(fresh, Cluster) and {one.state for one in fresh.attachments.all()} - {"attached"}:
            wrong.append("its attachments are not as wanted")
        if (found := self.ours(subject)) != self.wanted:
            wrong.append(f"what stands is not as wanted: {found}")
            self.tally.unmanaged += len(set(found) - set(self.wanted))
        return wrong

    def has_failed(self, subject, now, fault, call, rule):
        operation = Operation.objects.filter(subject_id=subject.pk).latest("created_at")
        if operation.state != "failed":
            return [f"{operation.state} instead of failed: {operation.error or operation.retry_note}"]
        wrong = []
        if now.state != now.VERBS[operation.verb].failed:
            wrong.append(f"its state is {now.state}")
        if rule.says not in operation.error:
            wrong.append(f"says: {operation.error}")
        if "unexpected error" in operation.error:
            wrong.append("an unexpected error")
        if isinstance(rule, Retried) and f"It stayed so for {rule.patience} seconds" not in operation.error:
            wrong.append(f"does not say how long: {operation.error}")
        named = fault.error.__name__ if fault.error else fault.code
        if named and operation.details.get("code", named) != named:
            wrong.append(f"does not name the code: {operation.details}")
        if isinstance(rule, Renamed) and now.names_tried != NAMES_AT_MOST:
            wrong.append(f"{now.names_tried} names")
        if fault.name == "AccessDenied":
            wrong += self.names_the_permission(operation, call)
        return wrong

    def names_the_permission(self, operation, call):
        expected = ACTIONS[call.operation]
        statement = json.loads(operation.details.get("statement") or "{}")
        named = statement.get("Action", [])
        if list(expected) != named or not all(action in operation.error for action in expected):
            return [f"names {named}, not {expected}"]
        if "*" in str(statement["Resource"]).replace("/*", "") or not operation.details.get("request_id"):
            return [f"allows more than one thing, or has no request ID: {operation.details}"]
        return []

    def leave(self, subject, *, delete):
        """Leave a failure, whose cause is gone, as an administrator does: by Try again, or by Delete."""
        self.undo()
        self.foreign = dict(self.standing)
        if delete:
            actions.delete(subject, by=self.alice)
            gone, _ = drive(subject)
            left = [key for key in world.look() if key not in self.foreign]
            self.tally.unmanaged += len(left)
            return [f"is not deleted: {subject.pk}"] if gone else [f"left behind: {left}"] if left else []
        retry(subject, by=self.alice)
        drive(subject)
        return self.is_done(subject)

    def check_foreign(self):
        now = world.look()
        touched = [key for key, text in self.foreign.items() if now.get(key) != text]
        asked = {bucket for _, bucket, _ in self.layer.attempts if bucket.startswith(world.FOREIGN)}
        self.tally.touched += len(touched) + len(asked)
        return [f"foreign: {touched} {asked}"] if touched or asked else []

    def check_unmanaged(self, subject):
        """Return what stands though the database does not name it, in the middle as at the end."""
        stray = set(self.ours(subject)) - NAMED
        self.tally.unmanaged += len(stray)
        return [f"unmanaged: {stray}"] if stray else []

    def occupy(self, kind, name):
        """Make what a call is about somebody else's."""
        before = world.look()
        match kind:
            case "bucket":
                self.undo = world.stand_foreign(self.account.number, name, self.plan.region)
            case "role":
                self.undo = world.stand_foreign_role(name)
            case "profile":
                self.undo = world.stand_foreign_profile(name)
        after = world.look()
        self.foreign |= {key: text for key, text in after.items() if before.get(key) != text}


@pytest.fixture
def layer(amazon, monkeypatch):
    """The fault layer, in front of every client that the console makes in this test."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
    layer = Layer(amazon, occupy=lambda kind, name: None)
    session = clients.session()
    session.events.register("before-send", layer)
    yield layer
    session.events.unregister("before-send", layer)
    clients.forget_clients()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_matrix(plan, account, alice, layer, say, sample):
    walk = Walk(plan, account, alice, layer, sample)
    layer.occupy = walk.occupy
    tally = walk.cells()
    say(
        f"faults: {plan}, {len(walk.calls)} calls",
        **{"fault cells": tally.cells, "of them not as wanted": len(tally.wrong)},
        **{"unmanaged after faults": tally.unmanaged, "foreign touched": tally.touched},
    )
    assert tally.cells >= len({call.operation for call in walk.calls})
    assert not tally.wrong, "\n".join(tally.wrong)


def test_a_permission_that_was_given_just_now_is_waited_for(account, alice, layer):
    """Try again comes from somebody who has just allowed what was refused: AWS may take seconds to know it."""
    denied = next(fault for fault in FAULTS if fault.name == "AccessDenied")
    layer.arm(denied, Call("PutBucketPolicy", "log", 1), FOR_EVER)
    store, runs = drive(Create("create").begin(None, account, alice))
    assert (store.operation.state, runs) == ("failed", 1)
    retry(store, by=alice)
    store, wrong = wear_out(store, 30)
    assert (store.operation.state, wrong) == ("failed", [])
    assert "s3:PutBucketPolicy" in store.operation.error
    assert "It stayed so for 30 seconds" in store.operation.error
    retry(store, by=alice)
    store, _ = drive(store, runs_at_most=2)
    assert store.operation.state == "waiting"
    assert {step["state"] for step in store.operation.steps} == {"waiting", "done"}
    layer.clear_faults()
    store, _ = drive(store)
    assert (store.state, store.operation.state) == ("available", "done")
