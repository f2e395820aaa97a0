"""What every page of one workflow shows around its content: name, state, tabs."""

from __future__ import annotations

from typing import Any

from webapp.workflows.pages.doors import list_url, url_of
from webapp.workflows.queries import Overview


def frame(opened: Overview) -> dict[str, Any]:
    workflow_id = opened.workflow.id
    return {
        "workflow": opened.workflow,
        "opened": opened,
        "base": url_of(workflow_id),
        "list_url": list_url(),
        "tabs": [
            ("Steps", url_of(workflow_id)),
            ("Runs", url_of(workflow_id, "/runs")),
            ("Versions", url_of(workflow_id, "/versions")),
            ("Settings", url_of(workflow_id, "/settings")),
        ],
    }
