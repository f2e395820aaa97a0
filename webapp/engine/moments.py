"""What `now` means in a plan."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from webapp.engine.readings import zone_of


def now_values(moment: datetime, zone: Any) -> dict[str, str]:
    """Return the values of the root `now`, in the organization's zone."""
    return dict(_in_zone(moment.replace(microsecond=0), str(zone or "UTC")))


@lru_cache(maxsize=64)  # a run asks in each of its turns, hundreds of times a second
def _in_zone(moment: datetime, zone: str) -> dict[str, str]:
    local = moment.astimezone(zone_of(zone))
    return {
        "today": local.date().isoformat(),
        "time": local.isoformat(timespec="seconds"),
        "zone": zone,
    }
