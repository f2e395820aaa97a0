"""Every module that declares tables, for processes that do not build the whole app."""

from __future__ import annotations

from importlib import import_module
from typing import Final

MODULES: Final = (
    "webapp.access.idempotency",
    "webapp.accounts.models",
    "webapp.api_keys.models",
    "webapp.audit.models",
    "webapp.files.models",
    "webapp.kernel.outbox",
    "webapp.organizations.models",
    "webapp.runs.models",
    "webapp.spending.models",
    "webapp.workflows.models",
)


def load() -> None:
    """Make all tables known to `Base.metadata`, so that foreign keys find each other."""
    for module in MODULES:
        import_module(module)
