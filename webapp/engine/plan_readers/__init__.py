"""One reader per format number, for ever; `read` picks it."""

from __future__ import annotations

from typing import Any

from webapp.engine.plan import FORMAT, Level, Plan, PlanError, PlanProblem, PlanTooNew
from webapp.engine.plan_readers.v1 import read as read_v1

READERS = {1: read_v1}


def read(doc: Any, level: Level) -> Plan:
    """Read a document of any known format.

    Raises:
        PlanError: it isn't a plan.
        PlanTooNew: its format is later than this code.
    """
    if not isinstance(doc, dict):
        raise PlanError([PlanProblem("", "P-TYPE", "A plan is a record of inputs and steps")])
    number = doc.get("plan")
    if type(number) is not int or number < 1:
        text = f'A plan begins with its format number: "plan": {FORMAT}'
        raise PlanError([PlanProblem("/plan", "P-VERSION", text)])
    if number not in READERS:
        text = f"This plan has format {number}; this version reads up to {FORMAT}"
        raise PlanTooNew([PlanProblem("/plan", "P-VERSION", text)])
    return READERS[number](doc, level)
