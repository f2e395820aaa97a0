"""D17: runs that old code began go on under new code, and edits leave running runs alone."""

from __future__ import annotations

import io
import json
import random
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.chaos import kill, plans
from tests.chaos.history_check import check
from tests.chaos.house import READY_S, House
from tests.chaos.places import Place, Server
from tests.chaos.sink import Sink

ROOT: Final = Path(__file__).parents[2]
OLD: Final = {"0001": "3cb0868", "0002": "4a12290"}
"""The last commits of the sessions before this one, by the schema that they knew."""
RUNS: Final = 6
EDITS: Final = 10
DELIVERED_S: Final = 75.0
"""What a relay had in hand when it died goes out a minute later."""

Figures = dict[str, Any]


def old_runs(place: Place, times: int) -> Figures:
    """Old code begins runs and dies; the new code migrates, and brings them to their end."""
    broken: list[str] = []
    runs = handed_on = 0
    for _ in range(times):
        for schema, commit in OLD.items():
            server = Server() if place.postgres else None
            try:
                began, found = _one(server, commit)
            finally:
                if server is not None:
                    server.stop()
            runs += RUNS
            handed_on += began
            broken += [f"{schema}: {sentence}" for sentence in found]
    return {"rounds": times, "runs": runs, "steps_done_before": handed_on, "broken": broken}


def _one(server: Server | None, commit: str) -> tuple[int, list[str]]:
    """Return how many steps the old code had sent, and what is broken in the end."""
    sink = Sink(pause_s=0.05)
    with tempfile.TemporaryDirectory() as folder:
        old, data = Path(folder) / "old", Path(folder) / "data"
        data.mkdir()
        _unpack(commit, old)
        env = {"DATABASE_URL": server.create()} if server else {}
        before = House(data, lease_s=4, root=old, **env)
        _boot_old(before)
        workflow = kill.prepare(before, sink)
        for number in range(RUNS):
            before.start(workflow, f"old-{number}", round=f"old{number}")
        sink.waits_for("/old")
        time.sleep(random.uniform(0.1, 0.8))
        before.kill("all")
        done = len(sink.all())
        after = House(data, lease_s=4, **env)
        after.key = before.key
        if server is not None:
            after.command("db", "upgrade")
        after.boot()
        try:
            states = [after.settled(run, 60)["state"] for run in before.starts.values()]
            broken = [f"a run is {state}" for state in states if state != "done"]
            until = time.monotonic() + DELIVERED_S
            while (said := _books(after, before, sink)) and time.monotonic() < until:
                time.sleep(1)
            broken += said
        finally:
            after.stop()
            sink.close()
    return done, broken


def _boot_old(house: House) -> None:
    """Start old code; its key is made behind the first start, which it could not make room for."""
    if "DATABASE_URL" in house.env:
        house.command("db", "upgrade")
    house.key = "not yet"
    house.boot()
    until = time.monotonic() + READY_S
    while True:
        try:
            house.key = json.loads(house.command("keys", "create", "--name", "t", "--json"))["key"]
            return
        except subprocess.CalledProcessError:  # two made the first organization at once
            assert time.monotonic() < until
            time.sleep(1)


def _books(after: House, before: House, sink: Sink) -> list[str]:
    told = after.history()
    told["runs"] = [run for run in told["runs"] if run["key"] in before.starts]
    return check(told, before.starts, sink.all())


def _unpack(commit: str, folder: Path) -> None:
    """Write the files of a commit, with today's scripts of pages, which runs do not need."""
    packed = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")
    (folder / "static/dist").symlink_to(ROOT / "static/dist")


def edits(place: Place, times: int) -> Figures:
    """A workflow is edited and put live while it runs and its worker dies: runs keep theirs."""
    broken: list[str] = []
    with place.stack(lease_s=2) as (stack, sink):
        made = stack.until(
            "POST", "/api/v1/workflows", {"name": "Edited", "plan": _version(sink.url, 1)}
        )
        workflow = made["id"]
        rev = made["rev"]
        started: dict[str, int] = {}
        for number in range(1, times + 1):
            if number > 1:
                plan = _version(sink.url, number)
                saved = stack.until(
                    "PUT", f"/api/v1/workflows/{workflow}", {"plan": plan, "rev": rev}
                )
                rev = saved["rev"]
            stack.until("POST", f"/api/v1/workflows/{workflow}/live", {"note": ""})
            name = f"edit{number}"
            run = stack.start(workflow, f"key-{name}", name=name)
            started[run] = number
            sink.waits_for(f"/{name}/")
            if number % 3 == 0:
                time.sleep(random.uniform(0, 0.5))
                stack.kill("worker")
                stack.begin("worker")
        for run, number in started.items():
            ended = stack.settled(run, 60)
            paths = {one.path for one in sink.arrivals(f"/edit{number}/")}
            wanted = {f"/edit{number}/v{number}-{n}" for n in range(EDITS)}
            if ended["state"] != "done" or ended["version"] != number or paths != wanted:
                broken.append(f"run of version {number}: {ended['state']}, {sorted(paths)}")
        verdict = place.verdict(stack, sink)
        verdict["broken"] += broken
        return {"versions": times, "runs": len(started)} | verdict


def _version(url: str, number: int) -> dict[str, Any]:
    return plans.of(*(plans.http(f"s_{n}", url, f"v{number}-{n}") for n in range(EDITS)))
