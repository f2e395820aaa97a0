"""The processes of the Procfile, as other supervisors start them: each alone, ended by SIGTERM."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import KEYS
from tests.services import free_port
from tests.supervisor.test_supervisor import soon
from tests.supervisor.test_up import status
from webapp.live.presence import PARTS, present

pytestmark = pytest.mark.timeout(90)

ROOT = Path(__file__).parents[2]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
Process = subprocess.Popen[bytes]
Start = Callable[[str], Process]


@pytest.fixture
def env(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    place = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DATA": str(tmp_path)}
    return {**KEYS, **place, "APP_ENV": "testing", "PORT": str(free_port())}


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Start]:
    """Return a function that starts a process of the Procfile by its name."""
    started: list[Process] = []

    def starts(name: str) -> Process:
        program, *words = shlex.split(PROCFILE[name])
        module = [] if program == "python" else ["-m", program]
        process = subprocess.Popen(
            [sys.executable, *module, *words],
            env={"PATH": os.environ["PATH"], **env},
            cwd=ROOT,
        )
        started.append(process)
        return process

    yield starts
    for process in started:
        process.kill()
        process.wait()


def at_work(redis_url: str) -> list[str]:
    with redis.Redis.from_url(redis_url) as client:
        return [part for part, there in present(client).items() if there]


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_steward_runs_alone_until_it_is_ended(
    start: Start, redis_url: str, part: str
) -> None:
    process = start(part)

    assert soon(lambda: at_work(redis_url), within=20) == [part]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=8) == 0


def test_together_they_are_a_machine_whose_status_is_told(
    start: Start, env: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    processes = {name: start(name) for name in PROCFILE}
    more = {name: value for name, value in env.items() if name != "DATA"}

    def well() -> bool:
        report = status(tmp_path, **more)
        return bool(report["running"] and report["ok"])

    assert soon(well, within=30)
    processes["relay"].terminate()
    assert processes.pop("relay").wait(timeout=8) == 0
    with redis.Redis.from_url(redis_url) as client:
        client.delete("dh:present:relay")  # it would go by itself in half a minute
    report = status(tmp_path, **more)
    assert not report["ok"]
    assert report["web"]["parts"]["relay"]["state"] == "slow"
    assert report["web"]["parts"]["sweep"]["state"] == "ok"

    for process in processes.values():
        process.terminate()
    assert {name: process.wait(timeout=15) for name, process in processes.items()} == dict.fromkeys(
        processes, 0
    )


def test_without_a_machine_the_status_says_so(env: dict[str, str], tmp_path: Path) -> None:
    more = {name: value for name, value in env.items() if name != "DATA"}

    assert status(tmp_path, **more) == {"running": False}
