"""Pages of workflows: the list, the builder, versions and settings."""

from __future__ import annotations

from webapp.workflows.pages import builder, files, index, live
from webapp.workflows.pages.doors import doors

__all__ = ["builder", "doors", "files", "index", "live"]
