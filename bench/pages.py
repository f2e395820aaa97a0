"""P6: what pages weigh over the wire, how many requests they make, and what they cost us."""

from __future__ import annotations

import gzip
import re
import time
from urllib.request import OpenerDirector, Request, build_opener

from bench.live import sign_in
from bench.measure import cpu_s, quantile, report
from bench.plans import five_steps
from tests.chaos.house import House

TIMES = 40


def weigh(house: House) -> None:
    """Fetch each page as a browser would, cold, and then again and again."""
    opener, _ = sign_in(house)
    made = house.until("POST", "/api/v1/workflows", {"name": "Weighed", "plan": five_steps()})
    house.until("POST", f"/api/v1/workflows/{made['id']}/live", {"note": ""})
    run = ""
    for number in range(60):
        run = house.until(
            "POST",
            f"/api/v1/workflows/{made['id']}/run",
            {"inputs": {}},
            Idempotency_Key=f"page-{number}",
            Prefer="wait=10",
        )["id"]
    pages = {
        "signin": "/signin",
        "workflows": "/o/main/workflows",
        "builder": f"/o/main/workflows/{made['id']}",
        "runs": "/o/main/runs",
        "run": f"/o/main/runs/{run}",
    }
    stranger = build_opener()
    for name, path in pages.items():
        _weigh_one(house, stranger if name == "signin" else opener, name, path)


def _weigh_one(house: House, opener: OpenerDirector, name: str, path: str) -> None:
    size, html = _fetch(house, opener, path)
    assets = sorted(set(re.findall(r'(?:src|href)="(/static/[^"#]+)', html)))
    total = size + sum(_fetch(house, opener, asset)[0] for asset in assets)
    report(f"page.{name}.html", size / 1024, "KiB", 1)
    report(f"page.{name}.cold", total / 1024, "KiB", 1)
    report(f"page.{name}.requests", 1 + len(assets), "requests", 1)
    web = [house.children()["web"]]
    before, took = cpu_s(web), []
    for _ in range(TIMES):
        began = time.perf_counter()
        _fetch(house, opener, path)
        took.append((time.perf_counter() - began) * 1000)
    report(f"page.{name}.cpu", (cpu_s(web) - before) / TIMES * 1000, "ms", TIMES)
    report(f"page.{name}.p95", quantile(took, 0.95), "ms", TIMES)


def _fetch(house: House, opener: OpenerDirector, path: str) -> tuple[int, str]:
    """Return the bytes on the wire and the text."""
    request = Request(house.url + path, headers={"Accept-Encoding": "gzip"})
    with opener.open(request) as answer:
        body = answer.read()
        packed = answer.headers.get("Content-Encoding") == "gzip"
    text = gzip.decompress(body) if packed else body
    return len(body), text.decode("utf-8", "replace")
