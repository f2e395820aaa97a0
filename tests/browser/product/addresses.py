"""An example address, or several, of each route that answers GET. A route without one fails a test.

Names are those of the screenshots. A route that gives no page says what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW, RUN = "/o/<org>/workflows/<workflow>", "/o/<org>/runs/<run>"

PAGES: dict[str, dict[str, str]] = {
    "/setup": {"set-up-code": "/setup?code=wrong"},
    "/signin": {"sign-in": "/signin"},
    "/me": {"account": "/me"},
    "/docs": {"docs": "/docs"},
    "/redoc": {"redoc": "/redoc"},
    "/admin/ui": {"catalogue": "/admin/ui"},
    "/admin/queues": {"admin-queues": "/admin/queues"},
    "/admin/services": {"admin-services": "/admin/services"},
    "/problems/<code>": {"problem": "/problems/E-LOGIN-WAIT", "not-found": "/problems/nothing"},
    "/o/<org>/menu": {"menu": "{home}/menu"},
    "/o/<org>/approvals": {"approvals": "{home}/approvals"},
    "/o/<org>/approvals/<approval>": {"approval": "{approval}"},
    "/approve/<approval>/<mark>": {"approval-link-old": "/approve/apr_0/usr_0.0"},
    "/o/<org>/runs": {
        "runs": "{home}/runs",
        "runs-none-match": "{home}/runs?state=needs_review",
    },
    "/o/<org>/queue": {"queue": "{home}/queue"},
    "/o/<org>/workflows": {
        "workflows": "{home}/workflows",
        "workflows-none-match": "{home}/workflows?q=nothing+like+this",
    },
    "/o/<org>/workflows/new": {"workflow-new": "{home}/workflows/new"},
    "/o/<org>/workflows/import": {"workflow-import": "{home}/workflows/import"},
    WORKFLOW: {
        "builder": "{every_kind}",
        "builder-example": "{example}",
        "builder-empty": "{empty}",
        "builder-add": "{every_kind}?add=root::1",
        "builder-move": "{every_kind}?move=s_2",
        "builder-note": "{every_kind}?note=s_2",
        "builder-start": "{example}?step=start",
        "builder-result": "{example}?step=result",
        "builder-limits": "{example}?step=limits",
        **{f"builder-{kind}": f"{{every_kind}}?step={step}" for kind, step in {
            "text": "s_1", "set": "s_2", "list": "s_3", "if": "s_4", "lanes": "s_6",
            "each": "s_9", "http": "s_11", "agent": "s_12", "tool": "s_13", "wait": "s_14",
            "approval": "s_15", "stop": "s_5", "repeat": "s_16", "workflow": "s_17", "signal": "s_18",
        }.items()},
    },
    f"{WORKFLOW}/live": {"live-first": "{every_kind}/live", "live-same": "{example}/live"},
    f"{WORKFLOW}/run": {
        "run-form": "{example}/run",
        "run-form-not-live": "{empty}/run",
        "run-form-left": "{empty}/run?version=draft",
    },
    f"{WORKFLOW}/runs": {
        "workflow-runs": "{example}/runs",
        "workflow-runs-none": "{empty}/runs",
        "workflow-runs-none-match": "{example}/runs?state=failed&since=2026-01-31",
    },
    f"{WORKFLOW}/settings": {"workflow-settings": "{example}/settings"},
    f"{WORKFLOW}/versions": {"versions": "{example}/versions", "versions-none": "{empty}/versions"},
    f"{WORKFLOW}/versions/<int:number>": {"version": "{example}/versions/1"},
    RUN: {
        "run-done": "{done}",
        "run-step": "{done}?step=s_1",
        "run-step-in": "{done}?step=s_1&view=in",
        "run-step-details": "{done}?step=s_1&view=details",
        "run-items": "{done}?step=s_4&view=items",
        "run-waiting": "{waiting}",
        "run-paused": "{paused}",
        "run-asks": "{asks}",
        "run-failed": "{failed}",
        "run-cancelled": "{cancelled}",
        "run-doubt": "{doubt}",
        "run-talk": "{talked}?step=s_1&view=talk",
        "run-rehearsal": "{rehearsed}",
        "run-rounds": "{rounds}?step=s_9%232/s_1",
        "run-rounds-all": "{rounds}?step=s_9&view=items",
        "run-signal": "{hears}",
        "run-too-few": "{too_few}",
        "run-problems": "{problems}",
        "run-lanes": "{lanes}",
        "run-parts": "{parts}",
        "run-starts-another": "{starts}",
    },
    "/o/<org>/runs/failed": {"failures": "{home}/runs/failed"},
    "/o/<org>/runs/failed/check": {
        "failures-check-none": "{home}/runs/failed/check",
        "failures-check": "{home}/runs/failed/check?cause={cause}",
    },
    f"{RUN}/again": {
        "run-again": "{failed}/again?from=s_1",
        "run-again-sent": "{sent}/again",
        "run-again-as-it-ran": "{mended}/again?from=s_2",
        "run-again-live": "{mended}/again?from=s_2&version=live",
        "run-again-live-refused": "{mended}/again?from=s_1&version=live",
        "run-again-open": "{waiting}/again",
    },
}  # fmt: skip

NO_PAGES: dict[str, str] = {
    "/": "leads on to the first page",
    "/o/<org>": "leads on to the first page",
    "/health": "JSON",
    "/ready": "JSON",
    "/status": "JSON",
    "/openapi.json": "JSON",
    "/static/<path:file>": "style, script and pictures",
    "/o/<org>/files/<file>": "the file",
    "/o/<org>/runs.csv": "CSV",
    f"{WORKFLOW}/plan.<suffix>": "a download",
    f"{WORKFLOW}/export.<suffix>": "a download",
    "/o/<org>/workflows.csv": "CSV",
    "/o/<org>/runs/<run>/result/<name>.<suffix>": "a download",
    "/o/<org>/runs/<run>/values.json": "JSON",
    "/o/<org>/runs/<run>/would-send.<suffix>": "a download",
}


@dataclass(frozen=True)
class Address:
    """A page by the name of its screenshots; `pattern` has names of the fixture `places`."""

    name: str
    pattern: str


ALL = [Address(name, at) for pages in PAGES.values() for name, at in pages.items()]
