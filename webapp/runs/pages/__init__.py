"""Pages of runs: the form that starts one, the list, one run as it works."""

from __future__ import annotations

from webapp.runs.pages import again, approvals, failures, form, index, pausing, run
from webapp.runs.pages.approvals import waiting_for_me
from webapp.runs.pages.doors import doors
from webapp.runs.pages.index import last_runs, left_behind

__all__ = [
    "again",
    "approvals",
    "doors",
    "failures",
    "form",
    "index",
    "last_runs",
    "left_behind",
    "pausing",
    "run",
    "waiting_for_me",
]
