"""Ask the whole API for what its description promises: schemathesis against a real server."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from webapp.access.idempotency import KEY_PATTERN
from webapp.kernel import jsons

BEYOND_SCHEMAS = {
    "E-GONE": "it is in the bin; 404 would be accepted here too, but says less",
    "E-PLAN": "ids that meet twice, names that are missing for their kind",
    "E-NOT-READY": "the draft has things left to do",
}
"""Codes with which a request may be refused although its form is right."""


@dataclass
class Report:
    """What was asked and what was found.

    Attributes:
        failures: for each failure, what a person needs to send the request again.
        cases: how many requests were checked, by phase; statuses: what they were answered.
    """

    failures: list[str] = field(default_factory=list)
    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    routes: set[str] = field(default_factory=set)


def fuzz(url: str, key: str, *, seconds: int, examples: int, seed: int, **more: Any) -> Report:
    """Send examples, corner cases, random and chained requests, with every check there is."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "max-time": seconds,
            "auth": {"openapi": {"ApiKey": {"api_key": key}}},
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


@schemathesis.hook("before_call")
def _own_key(context: Any, case: Any, kwargs: Any) -> None:
    """Give each request a key of its own, as programs do; wrong keys stay wrong."""
    given = (case.headers or {}).get("Idempotency-Key")
    if isinstance(given, str) and re.match(KEY_PATTERN, given):
        case.headers["Idempotency-Key"] = str(uuid4())


def _note(report: Report, event: Any) -> None:
    if isinstance(event, events.ScenarioFinished):
        recorder, phase = event.recorder, event.phase.value
        report.routes.add(recorder.label)
        report.cases[phase] += len(recorder.cases)
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                report.statuses[interaction.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            sent = recorder.interactions.get(case_id)
            report.failures += [
                _told(phase, check, sent)
                for check in checks
                if check.failure_info is not None and not _is_meant(check, sent)
            ]
    elif isinstance(event, events.NonFatalError):
        report.failures.append(f"{event.label}: {event.info.format()}")
    elif isinstance(event, events.FatalError):
        raise event.exception


def _is_meant(check: Any, interaction: Any) -> bool:
    """Whether a right form was refused for what no schema can say."""
    if check.name != "positive_data_acceptance" or interaction.response is None:
        return False
    problem = jsons.loads(interaction.response.content)
    return problem["code"] in BEYOND_SCHEMAS or (
        problem["code"] == "E-FIELDS"
        and all(error["pointer"].startswith("/inputs/") for error in problem["errors"])
    )


def _told(phase: str, check: Any, interaction: Any) -> str:
    response = interaction.response if interaction is not None else None
    answer = f"{response.status_code} {response.content[:400]!r}" if response is not None else ""
    failure = check.failure_info
    lines = (f"{phase} {check.name}", failure.failure.message, failure.code_sample, answer)
    return "\n".join(lines)
