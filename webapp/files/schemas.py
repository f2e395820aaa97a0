"""A file as pages and programs see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class FileOut(BaseModel):
    """One file; `id` is what a plan's value holds as `{"file": id}`."""

    id: str
    name: str
    type: str
    size: int
    kept_until: datetime | None
