"""The supervisor keeps its children alive, and leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from webapp.commands.instance import Claim, Held, running

House = tuple[subprocess.Popen[bytes], Path]


def soon(wanted: Callable[[], Any], within: float = 8.0) -> Any:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = wanted()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {within} s")


def pids(data: Path) -> dict[str, int]:
    facts = running(data) or {}
    return {c["name"]: c["pid"] for c in facts.get("children", []) if c["state"] == "up"}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.supervisor.small_house", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        soon(lambda: len(pids(tmp_path)) == 3)
        yield process, tmp_path
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["one", "valkey"])
def test_a_killed_child_is_started_again(house: House, name: str) -> None:
    _, data = house
    old = pids(data)[name]

    os.kill(old, signal.SIGKILL)

    assert soon(lambda: pids(data).get(name, old) != old)
    assert not alive(old)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["one", "valkey"])
def test_a_stopped_child_is_killed_and_started_again(house: House, name: str) -> None:
    _, data = house
    old = pids(data)[name]

    os.kill(old, signal.SIGSTOP)

    assert soon(lambda: pids(data).get(name, old) != old, within=20)
    assert not alive(old)


def test_no_child_outlives_a_killed_supervisor(house: House) -> None:
    process, data = house
    children = pids(data)

    process.kill()

    assert soon(lambda: not any(alive(pid) for pid in children.values()))
    assert running(data) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order(house: House, number: signal.Signals) -> None:
    process, data = house
    children = pids(data)

    process.send_signal(number)

    assert process.wait(timeout=8) == 0
    assert not any(alive(pid) for pid in children.values())
    assert running(data) is None


def test_a_frozen_child_ends_too(house: House) -> None:
    process, data = house
    os.kill(pids(data)["two"], signal.SIGSTOP)

    process.terminate()

    assert process.wait(timeout=8) == 0


def test_a_child_that_dies_again_and_again_is_given_time(house: House) -> None:
    _, data = house
    deaths = []
    for _ in range(3):
        pid = soon(lambda: pids(data).get("one"))
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        soon(lambda pid=pid: pids(data).get("one", pid) != pid)
        deaths.append(time.monotonic() - began)

    assert deaths[-1] > deaths[0] + 1


def test_a_folder_has_one_holder_who_says_who_it_is(house: House) -> None:
    process, data = house

    with pytest.raises(Held) as caught:
        Claim(data)

    assert caught.value.holder["pid"] == process.pid


def test_valkey_starts_empty_when_its_file_is_broken(house: House) -> None:
    process, data = house
    process.terminate()
    process.wait(timeout=8)
    log = next((data / "valkey" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(b"*3\r\n$3\r\nSET\r\nnot a command at all\r\n")

    again = subprocess.Popen(
        [sys.executable, "-m", "tests.supervisor.small_house", str(data)], stdout=subprocess.DEVNULL
    )
    try:
        assert soon(lambda: "valkey" in pids(data))
        # The first one dies of the file; it is moved aside before the second.
        assert soon(lambda: list((data / "valkey").glob("appendonlydir.broken-*")))
        assert soon(lambda: "valkey" in pids(data))
    finally:
        again.terminate()
        again.wait(timeout=8)
