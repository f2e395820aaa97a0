"""Approvals as programs get them: rows in, schemas out."""

from __future__ import annotations

from webapp.kernel.ids import public_id
from webapp.runs.approvals import Found
from webapp.runs.schemas import ApprovalOut, ChangesAsked, Reference, ShownValue


def approval_out(found: Found, step: str, workflow: str) -> ApprovalOut:
    """Return what is asked and what was said.

    Args:
        step: name of the step that asks.
        workflow: name of the run's workflow.
    """
    row, asked, values = found.row, found.asked, found.values
    return ApprovalOut(
        id=found.id,
        run=public_id("run", found.whole),
        part=public_id("run", row.run_id) if row.run_id != found.whole else None,
        path=row.path,
        step=step,
        workflow=Reference(id=public_id("wf", found.run.workflow_id), name=workflow),
        state=row.state,
        asked=found.people.words,
        asked_at=row.made_at,
        due_at=row.due_at,
        show=[
            ShownValue(
                name=one["name"],
                label=one["label"],
                value=values[one["name"]],
                may_edit=one["name"] in asked["edit"],
            )
            for one in asked["show"]
        ],
        questions=[{"type": "text", "required": True, **one} for one in asked["questions"]],
        round=asked.get("round"),
        rounds=asked.get("rounds"),
        before=[ChangesAsked.model_validate(one) for one in asked.get("before", [])],
        shown=found.shown,
        needed=found.needed,
        reachable=found.reachable,
        agreed=sorted(found.agreed.values()),
        can_answer=found.can_answer,
        decision=row.decision,
        by=row.decided_by_name,
        at=row.decided_at,
        note=row.note,
    )
