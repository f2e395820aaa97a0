"""10,000 items of one list: as one run, and in parts with one worker and with two."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.measure import report
from tests.chaos.house import House

ITEMS: Final = 10_000
_LONGEST_S: Final = 300.0


def each_split() -> None:
    for name, workers, split in (("whole", 1, 0), ("1_worker", 1, 200), ("2_workers", 2, 200)):
        with tempfile.TemporaryDirectory() as folder:
            place = House(Path(folder), workers=workers, EACH_SPLIT=str(split))
            place.boot()
            try:
                took_s = _took_s(place)
            finally:
                place.stop()
        report(f"each_split.sqlite.{name}", ITEMS / took_s, "items/s", ITEMS)


def _took_s(place: House) -> float:
    made = place.until("POST", "/api/v1/workflows", {"name": "Items", "plan": _plan()})
    workflow = f"/api/v1/workflows/{made['id']}"
    place.until("POST", f"{workflow}/live", {"note": ""})
    asked = {"inputs": {"items": list(range(ITEMS))}}
    run = place.until("POST", f"{workflow}/run", asked, Idempotency_Key="items")
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        found = place.until("GET", f"/api/v1/runs/{run['id']}")
        if found["state"] == "done":
            assert found["result"]["count"] == ITEMS
            return float(found["took_ms"]) / 1000
        assert found["state"] in {"queued", "running", "waiting"}, found["error"]
        time.sleep(0.1)
    raise AssertionError("the list is not done")


def _plan() -> dict[str, Any]:
    said = [{"text": "No. "}, {"value": ["s_1", "item"]}]
    collect = {
        "name": "said",
        "label": "Said",
        "type": "text",
        "value": [{"value": ["s_2", "text"]}],
    }
    each = {
        "list": [{"value": ["start", "items"]}],
        "most": ITEMS,
        "at_once": 4,
        "collect": [collect],
        "steps": [{"id": "s_2", "kind": "text", "name": "Say", "with": {"text": said}}],
    }
    count = [{"value": ["s_1", "count"]}]
    return {
        "plan": 1,
        "inputs": [
            {"name": "items", "label": "Items", "type": "list", "items": {"type": "number"}}
        ],
        "steps": [{"id": "s_1", "kind": "each", "name": "Items", "with": each}],
        "result": [{"name": "count", "label": "Count", "type": "number", "value": count}],
        "limits": {"steps": 100_000},
    }
