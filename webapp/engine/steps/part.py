"""Some items of a long list, as a run of their own: rows of lists, no kind that a plan names."""

from __future__ import annotations

from typing import Any, Final

from webapp.engine.errors import StepError
from webapp.engine.steps.each import Config
from webapp.engine.steps.kind import Frozen, StepKind

OWN_STEPS: Final = 1
"""The `each` itself is counted where it stands, and once more in each part."""


def heard(frozen: Frozen, end: Any) -> dict[str, Any]:
    """Return what the run gave of its items, and how many steps it did.

    Raises:
        StepError: it did not end well; `facts` have its own error.
    """
    facts = {"run": frozen["child"], "steps": max(0, int(end.get("steps") or 0) - OWN_STEPS)}
    if end["state"] == "done":
        given = {**(end.get("result") or {}), **facts}
        return {**given, "problems": True} if end.get("problems") else given
    error = end.get("error") or {}
    text = error.get("text") or f"This part of the list was {end['state']}."
    if error:
        facts["error"] = error
    code = error.get("code") or "E-PART"
    raise StepError(code, text, proven=True, retryable=False, facts=facts)


KIND = StepKind(
    name="part",
    label="Items",
    about="Does some items of a long list as a run of its own.",
    icon="each",
    group="",
    config=Config,
    heard=heard,
    timeout_s=60,
)
