"""The API does what its description says, whatever is sent. `make fuzz` asks for longer."""

from __future__ import annotations

import json
import os
import sys

import pytest
from flask import Flask

from tests.api.fuzzing import fuzz
from tests.api.serving import served
from tests.fixtures import Program
from webapp.web.openapi import routes

SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.timeout(SECONDS * 3 + 120)
@pytest.mark.filterwarnings("default")  # it sends what makes clients warn
def test_every_route_keeps_to_the_description(app: Flask, program: Program) -> None:
    with served(app) as url:
        report = fuzz(url, program.key, seconds=SECONDS, examples=EXAMPLES, seed=SEED)

    print(json.dumps({"cases": report.cases, "statuses": report.statuses}), file=sys.stderr)
    assert report.failures == [], "\n\n".join(report.failures)
    assert report.routes >= {f"{route.method} {route.path}" for route in routes(app)}
    assert report.cases.total() > 150
