"""Running a provider's plan without the engine."""

from __future__ import annotations


def steps(plan):
    return [step for round_ in plan for step in round_]


def run(plan, spec):
    for step in steps(plan):
        step.run(spec)
