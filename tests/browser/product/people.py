"""Who sits at the browser in these tests, and what is written down about them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, Response

from tests.chaos.house import House

NAME, EMAIL, PASSWORD = "Olga Berg", "olga@acme.example", "a sentence works well"


@dataclass(frozen=True)
class Account:
    """A Deckhand with one person, `olga@acme.example`, who owns its only organization."""

    house: House
    slug: str
    example_run: str
    state: Any

    @property
    def home(self) -> str:
        return f"/o/{self.slug}"

    def make_workflow(self, name: str, plan: dict[str, Any], *, live: bool = True) -> str:
        """Make a workflow by the API and return its id."""
        call = self.house.until
        made: str = call("POST", "/api/v1/workflows", {"name": name, "plan": plan})["id"]
        if live:
            call("POST", f"/api/v1/workflows/{made}/live", {"note": "First"})
        return made

    def mend(self, workflow: str, plan: dict[str, Any]) -> None:
        """Put another plan of a workflow live by the API."""
        call, path = self.house.until, f"/api/v1/workflows/{workflow}"
        call("PUT", path, {"plan": plan, "rev": call("GET", path)["rev"]})
        call("POST", f"{path}/live", {"note": "Mended"})

    def start(self, workflow: str, **inputs: Any) -> str:
        """Start a run by the API and return its id."""
        path = f"/api/v1/workflows/{workflow}/run"
        key = f"k-{workflow}-{sha256(repr(inputs).encode()).hexdigest()}"
        started = self.house.until("POST", path, {"inputs": inputs}, Idempotency_Key=key)
        return str(started["id"])

    def rehearse(self, workflow: str) -> str:
        """Rehearse a workflow by the API and return the run's id."""
        path, key = f"/api/v1/workflows/{workflow}/run", f"r-{workflow}"
        started = self.house.until("POST", path, {"rehearsal": True}, Idempotency_Key=key)
        return str(started["id"])

    def run(self, run: str) -> Any:
        return self.house.until("GET", f"/api/v1/runs/{run}")

    def until_over(self, *runs: str) -> None:
        """Return when all the runs have ended, or ask for a decision."""
        until = time.monotonic() + 30
        over = {"done", "failed", "cancelled", "needs_review"}
        while any(self.run(run)["state"] not in over for run in runs):
            assert time.monotonic() < until, [self.run(run)["word"] for run in runs]
            time.sleep(0.1)

    def until_asked(self, run: str) -> list[str]:
        """Return what the run asks, once it asks something."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            found = self.house.until("GET", "/api/v1/approvals")["items"]
            if mine := [str(one["id"]) for one in found if one["run"] == run]:
                return mine
            time.sleep(0.1)
        raise AssertionError(self.run(run)["word"])


@dataclass
class Hand:
    """Fills and presses, and counts both as UX.md section 14 does."""

    page: Page
    fields: int = 0
    clicks: int = 0

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)
        self.fields += 1

    def press(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]
        self.clicks += 1


def set_up(page: Page, link: str) -> Hand:
    """Make the first account from the printed link."""
    page.goto(link)
    hand = Hand(page)
    hand.fill("Your name", NAME)
    hand.fill("Email", EMAIL)
    hand.fill("Password", PASSWORD)
    hand.press("Create my organization")
    page.wait_for_url(re.compile(r"^[^?]+/runs/run_\w+$"))
    return hand


@dataclass
class Listener:
    """What a page asks for from where, and what the browser says about it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        # Playwright cannot listen with a method of a list.
        self.page.on("request", lambda it: self.requests.append(it))  # noqa: PLW0108
        self.page.on("response", lambda it: self.answers.append(it))  # noqa: PLW0108

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def forget(self) -> None:
        self.complaints.clear()
        self.requests.clear()
        self.answers.clear()
