"""Plans of versions, read once a process: a version never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from webapp.engine.plan import Plan, load_plan

_MOST: Final = 256
_plans: OrderedDict[UUID, KnownPlan] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """A version as runs need it.

    Attributes:
        number: None is a copy of a draft.
        steps: how many there are, blocks included.
        starts_runs: some of them may start other runs.
    """

    version_id: UUID
    workflow_id: UUID
    number: int | None
    plan: Plan
    steps: int
    starts_runs: bool


def known_plan(version_id: UUID) -> KnownPlan | None:
    """Return the version if this process has read it before."""
    with _lock:
        known = _plans.get(version_id)
        if known is not None:
            _plans.move_to_end(version_id)
        return known


def learn_plan(
    version_id: UUID, workflow_id: UUID, number: int | None, document: dict[str, Any]
) -> KnownPlan:
    """Read a version's document, or return what is known of it.

    Raises:
        PlanTooNew: it is of a format that this process does not know.
    """
    known = known_plan(version_id)
    if known is None:
        plan = load_plan(document)
        kinds = [step.kind for step in plan.walk()]
        starts_runs = not {"workflow", "each"}.isdisjoint(kinds)
        known = KnownPlan(version_id, workflow_id, number, plan, len(kinds), starts_runs)
        with _lock:
            _plans[version_id] = known
            while len(_plans) > _MOST:
                _plans.popitem(last=False)
    return known
