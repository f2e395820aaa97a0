"""A plan made ready to run: for each step, once per plan, what every execution of it needs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from webapp.engine.errors import StepError
from webapp.engine.plan import Plan, Retry, Step
from webapp.engine.steps import KINDS
from webapp.engine.steps.kind import Compute, StepKind

READING_RETRIES = Retry(times=2)
NO_RETRIES = Retry(times=0)
MOST_RETRY_S = 3600.0


def nano(usd: str | None) -> int | None:
    """US dollars as text -> nano-dollars."""
    return None if usd is None else int(Decimal(usd) * 1_000_000_000)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step with its kind, effect and rules worked out."""

    id: str
    kind_name: str
    kind: StepKind
    step: Step
    config: Any
    effect: str
    compute: Compute | None
    """Makes the result of a pure step."""
    instant: bool
    """Settled in the tick in which it becomes ready: pure, or a wait."""
    limit_nano: int | None
    timeout_s: float | None
    retry: Retry

    @property
    def may_repeat(self) -> bool:
        return self.effect != "at_most_once"

    def retry_after(self, error: StepError, attempt: int, path: str) -> float | None:
        """Return in how many seconds the attempt that failed is tried again; None: never.

        The jitter (half to whole of the wait) is taken from the path, so that a replay says
        the same.
        """
        retry = self.retry
        if attempt > retry.times or not error.retryable:
            return None
        if not (self.may_repeat or error.proven):
            return None
        wait = min(float(retry.wait_s) * float(retry.grow) ** (attempt - 1), float(retry.most_s))
        if retry.jitter:
            share = sha256(f"{path}|{attempt}".encode()).digest()[0] / 255
            wait *= 0.5 + share / 2
        return min(max(wait, error.retry_after_s or 0.0), MOST_RETRY_S)


def compiled(plan: Plan) -> dict[str, StepPlan]:
    """Return the plan's steps by id, worked out at the first call."""
    if plan._compiled is None:
        plan._compiled = {step.id: _step_plan(step) for step in plan.walk()}
    found: dict[str, StepPlan] = plan._compiled
    return found


def _step_plan(step: Step) -> StepPlan:
    kind = KINDS[step.kind]
    effect = str(kind.effect(step.config).value)
    compute = kind.compute or (kind.computes and kind.computes(step.config))
    default = READING_RETRIES if effect == "none" and compute is None else NO_RETRIES
    return StepPlan(
        id=step.id,
        kind_name=step.kind,
        kind=kind,
        step=step,
        config=step.config,
        effect=effect,
        compute=compute,
        instant=compute is not None or kind.waits is not None,
        limit_nano=nano(step.cost_usd),
        timeout_s=step.timeout_s or kind.timeout_s,
        retry=step.retry or default,
    )
