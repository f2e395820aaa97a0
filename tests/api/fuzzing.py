"""Ask the whole API for what its description promises: schemathesis against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from werkzeug.serving import make_server


@dataclass
class Report:
    """What was asked and what was found.

    Attributes:
        failures: for each failure, what a person needs to send the request again.
        cases: how many requests were checked, by phase.
    """

    failures: list[str] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=dict)
    routes: set[str] = field(default_factory=set)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the app on a free port and yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fuzz(url: str, key: str, *, seconds: int, examples: int, seed: int, **more: Any) -> Report:
    """Send examples, corner cases, random and chained requests with every check there is."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "max-time": seconds,
            "headers": {"X-API-Key": key},
            "continue-on-failure": True,
            "generation": {"max-examples": examples, "database": "none"},
            **more,
        }
    )
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    report = Report()
    for event in from_schema(schema).execute():
        _note(report, event)
    return report


def _note(report: Report, event: Any) -> None:
    if isinstance(event, events.ScenarioFinished):
        report.routes.add(event.recorder.label)
        checks = event.recorder.checks
        phase = event.phase.value
        report.cases[phase] = report.cases.get(phase, 0) + len(event.recorder.cases)
        for case_id, found in checks.items():
            report.failures += [
                f"{phase} {check.name}: {check.failure_info.failure.title}\n"
                f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}\n"
                + _answer(event.recorder, case_id)
                for check in found
                if check.failure_info is not None
            ]
    elif isinstance(event, events.NonFatalError):
        report.failures.append(f"{event.label}: {event.info.format()}")
    elif isinstance(event, events.FatalError):
        raise event.exception


def _answer(recorder: Any, case_id: str) -> str:
    interaction = recorder.interactions.get(case_id)
    response = getattr(interaction, "response", None)
    return f"{response.status_code} {response.content[:300]!r}" if response is not None else ""
