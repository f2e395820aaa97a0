"""How the machine is, as programs see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["ok", "slow", "down"]


class Alive(BaseModel):
    """The web process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Whether requests that need the database would work."""

    status: Literal["ok", "down"]


class PartState(BaseModel):
    """One part of the machine."""

    state: State
    text: str = Field(description="A sentence for people.")


class MachineState(BaseModel):
    """One word for all, and each part by its name."""

    status: State
    parts: dict[str, PartState]
