"""Every permission of the product and the roles that hold it, in one table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a member is in an organization (UX.md 4.4)."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Permission(StrEnum):
    """Grep for `Permission.EDIT_WORKFLOWS` to find every place that needs it."""

    CONTROL_RUNS = "runs.control"
    """Pause, resume and cancel runs, and decide about steps in doubt."""

    DECIDE_APPROVALS = "approvals.decide"
    """Answer what a run asks people; each approval itself says whom it asks."""

    EDIT_WORKFLOWS = "workflows.edit"
    """Create workflows and change their drafts and settings."""

    MANAGE_KEYS = "keys.manage"
    """Make and revoke the organization's API keys."""

    PACE_RUNS = "runs.pace"
    """Pause all of the organization's runs, and say how many work at the same time."""

    PUBLISH_WORKFLOWS = "workflows.publish"
    """Put a version live."""

    START_RUNS = "runs.start"
    """Start runs; spends the organization's money. Includes uploading their files."""

    USE_STAFF_PAGES = "staff.use"
    """Open the staff area; held by a mark on the person, never by a role alone."""

    VIEW_AUDIT = "audit.view"
    """Read the record of who did what, and check that nobody rewrote it."""

    VIEW_ORGANIZATION = "organization.view"
    """See the organization's name and members."""

    VIEW_RUNS = "runs.view"
    """See runs, their steps, values and files."""

    VIEW_WORKFLOWS = "workflows.view"
    """See workflows, their drafts and versions."""


_ALL: Final = frozenset(Role)
_BUILDERS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER})
_ADMINS: Final = frozenset({Role.OWNER, Role.ADMIN})

ROLES: Final[dict[Permission, frozenset[Role]]] = {
    Permission.CONTROL_RUNS: _BUILDERS,
    Permission.DECIDE_APPROVALS: _ALL,
    Permission.EDIT_WORKFLOWS: _BUILDERS,
    Permission.MANAGE_KEYS: _ADMINS,
    Permission.PACE_RUNS: _ADMINS,
    Permission.PUBLISH_WORKFLOWS: _BUILDERS,
    Permission.START_RUNS: _BUILDERS,
    Permission.USE_STAFF_PAGES: frozenset({Role.OWNER}),
    Permission.VIEW_AUDIT: _ADMINS,
    Permission.VIEW_ORGANIZATION: _ALL,
    Permission.VIEW_RUNS: _ALL,
    Permission.VIEW_WORKFLOWS: _ALL,
}

_WORDS: Final[dict[Permission, str]] = {
    Permission.CONTROL_RUNS: "pause, cancel or decide about runs",
    Permission.DECIDE_APPROVALS: "answer approvals",
    Permission.EDIT_WORKFLOWS: "change workflows",
    Permission.MANAGE_KEYS: "manage API keys",
    Permission.PACE_RUNS: "pause the organization’s runs or limit them",
    Permission.PUBLISH_WORKFLOWS: "put workflows live",
    Permission.START_RUNS: "start runs",
    Permission.USE_STAFF_PAGES: "open the staff area",
    Permission.VIEW_AUDIT: "read the audit record",
    Permission.VIEW_ORGANIZATION: "see the organization",
    Permission.VIEW_RUNS: "see runs",
    Permission.VIEW_WORKFLOWS: "see workflows",
}

_PLURALS: Final = {
    Role.OWNER: "owners",
    Role.ADMIN: "admins",
    Role.MEMBER: "members",
    Role.VIEWER: "viewers",
}


def allows(role: Role | None, permission: Permission) -> bool:
    """Return whether `role` holds `permission`; nobody's role holds nothing."""
    return role is not None and role in ROLES[permission]


def explain(permission: Permission) -> dict[str, str]:
    """Return the facts of E-ROLE: who may do it, and what it is, in words."""
    *rest, last = [_PLURALS[role] for role in Role if role in ROLES[permission]]
    who = f"{', '.join(rest)} and {last}" if rest else last
    return {"who": f"Only {who}", "what": _WORDS[permission]}
