"""Plans of versions, read once a process: a version never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from webapp.engine.plan import Plan, load_plan

_MOST: Final = 256
_plans: OrderedDict[UUID, Plan] = OrderedDict()
_lock = threading.Lock()


def known_plan(version_id: UUID) -> Plan | None:
    """Return the plan if this process has read it before."""
    with _lock:
        plan = _plans.get(version_id)
        if plan is not None:
            _plans.move_to_end(version_id)
        return plan


def plan_of(version_id: UUID, document: dict[str, Any]) -> Plan:
    """Return the version's plan, reading `document` the first time.

    Raises:
        PlanTooNew: it is of a format that this process does not know.
    """
    plan = known_plan(version_id)
    if plan is None:
        plan = load_plan(document)
        with _lock:
            _plans[version_id] = plan
            while len(_plans) > _MOST:
                _plans.popitem(last=False)
    return plan
