"""P10: from a commit in a worker to a Socket.IO client, over a signed-in browser's connection."""

from __future__ import annotations

import re
import time
import urllib.parse
from datetime import datetime
from http.cookiejar import CookieJar
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import socketio

from bench.measure import quantile, report
from bench.plans import agents
from tests.chaos.house import House

EVENTS = 300


def commit_to_client(house: House) -> None:
    """Follow runs step by step and compare each event's own time with the time it arrived."""
    _, cookies = sign_in(house)
    made = house.until("POST", "/api/v1/workflows", {"name": "Live", "plan": agents(20)})
    house.until("POST", f"/api/v1/workflows/{made['id']}/live", {"note": ""})
    took: list[float] = []
    client = socketio.Client(websocket_extra_options={"origin": house.url})

    def heard(_: str, event: dict[str, Any]) -> None:
        sent = datetime.fromisoformat(event["at"]).timestamp()
        took.append((time.time() - sent) * 1000)

    client.on("*", heard, namespace="/live")
    client.connect(
        house.url,
        headers={"Cookie": cookies},
        namespaces=["/live"],
        transports=["websocket"],
    )
    number = 0
    while len(took) < EVENTS:
        number += 1
        run = house.until(
            "POST",
            f"/api/v1/workflows/{made['id']}/run",
            {"inputs": {}},
            Idempotency_Key=f"live-{number}",
        )
        client.call("join", {"room": f"run:{run['id']}", "after": 0}, namespace="/live")
        while house.until("GET", f"/api/v1/runs/{run['id']}")["state"] in {"queued", "running"}:
            time.sleep(0.02)
    client.disconnect()
    report("commit_to_client.p50", quantile(took, 0.5), "ms", len(took))
    report("commit_to_client.p95", quantile(took, 0.95), "ms", len(took))


def sign_in(house: House) -> tuple[OpenerDirector, str]:
    """Set the machine up by the link it printed; return an opener and its cookies as a header."""
    jar = CookieJar()
    opener = build_opener(HTTPCookieProcessor(jar))
    until = time.monotonic() + 60
    found = None
    while found is None and time.monotonic() < until:
        found = re.search(r"(/setup\?code=\S+)", house.log())
        time.sleep(0.1)
    assert found is not None, house.log()
    with opener.open(house.url + found[1].split("&next")[0]) as answer:
        page = answer.read().decode()
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    typed = {"name": "Ada", "email": "ada@example.com", "password": "a long enough sentence"}
    form = urllib.parse.urlencode(fields | typed).encode()
    request = Request(f"{house.url}/setup", form, {"Origin": house.url})
    with opener.open(request) as answer:
        answer.read()
    return opener, "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
