"""Pages of runs: the form that starts one, the list, one run as it works."""

from __future__ import annotations

from webapp.runs.pages import form, index, run
from webapp.runs.pages.doors import doors

__all__ = ["doors", "form", "index", "run"]
