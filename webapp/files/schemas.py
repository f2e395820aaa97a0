"""A file as pages and programs see it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel

from webapp.kernel.asking import an_id


class FileOut(BaseModel):
    """One file; `id` is what a plan's value holds as `{"file": id}`."""

    id: Annotated[str, an_id("file")]
    name: str
    type: str
    size: int
    kept_until: datetime | None
