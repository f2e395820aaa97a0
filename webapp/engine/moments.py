"""What `now` means in a plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from webapp.engine.readings import zone_of


def now_values(moment: datetime, zone: Any) -> dict[str, str]:
    """Return the values of the root `now`, in the organization's zone."""
    name = str(zone or "UTC")
    local = moment.astimezone(zone_of(name))
    return {
        "today": local.date().isoformat(),
        "time": local.isoformat(timespec="seconds"),
        "zone": name,
    }
