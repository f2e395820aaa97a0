"""A patient client of the API: what it was promised, it writes down."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException
from typing import Any

PATIENCE_S = 60.0
SETTLED = frozenset({"done", "failed", "cancelled", "needs_review"})
LATER = frozenset({0, 409, 429, 502, 503})
"""What may be asked again: nobody answered, or the answer was "not now"."""


class Client:
    """Calls with a key; `starts` holds every start that was acknowledged, by its own key."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url
        self.key = key
        self.starts: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        """How often each status came; 0 is no answer at all."""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return status and JSON of an API call; 0 when nobody answers."""
        status, answer = self._call(method, path, body, headers)
        self.answers[str(status)] += 1
        return status, answer

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self.key, "Content-Type": "application/json"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 503 and not error.headers.get("Retry-After"):
                self.answers["503 without Retry-After"] += 1
            return error.code, _json(error)
        except (OSError, ValueError, HTTPException):  # the last: it died while it answered
            return 0, None

    def until(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Repeat a call until it is answered with 2xx, as a patient client does."""
        until = time.monotonic() + PATIENCE_S
        status, answer = 0, None
        while time.monotonic() < until:
            status, answer = self.call(method, path, body, **headers)
            if 200 <= status < 300:
                return answer
            assert status in LATER, (status, answer)
            time.sleep(0.1)
        raise AssertionError((status, answer))

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Repeat a call until somebody decides on it; return the answer that it is too late (409)."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            status, answer = self.call(method, path, body, **headers)
            if status == 409:
                return answer
            assert status in LATER, (status, answer)
            time.sleep(0.1)  # the pace of asking again, not a wait for anything
        raise AssertionError((status, answer))

    def live(self, name: str, plan: dict[str, Any]) -> str:
        """Make a workflow, put it live and return its id."""
        made = self.until("POST", "/api/v1/workflows", {"name": name, "plan": plan})
        self.until("POST", f"/api/v1/workflows/{made['id']}/live", {"note": ""})
        return str(made["id"])

    def start(self, workflow: str, key: str, **inputs: Any) -> str:
        """Start a run, again under the same key until that is acknowledged; return its id."""
        path = f"/api/v1/workflows/{workflow}/run"
        run = str(self.until("POST", path, {"inputs": inputs}, Idempotency_Key=key)["id"])
        assert self.starts.setdefault(key, run) == run, f"{key} began two runs"
        return run

    def settled(self, run: str, seconds: float) -> dict[str, Any]:
        """Return the run once it is settled, or as it is after `seconds`."""
        until = time.monotonic() + seconds
        answer: dict[str, Any] = {"state": "unknown", "tasks": []}
        while time.monotonic() < until:
            status, body = self.call("GET", f"/api/v1/runs/{run}")
            if status == 200:
                answer = body
                if answer["state"] in SETTLED:
                    break
            time.sleep(0.1)
        return answer


def _json(error: urllib.error.HTTPError) -> Any:
    try:
        return json.loads(error.read() or b"null")
    except (OSError, ValueError, HTTPException):
        return None
