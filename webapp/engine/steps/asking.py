"""Whom an approval asks, what it shows, until when: the parts of its settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Discriminator, StringConstraints, Tag, model_validator

from webapp.engine.grammar import Label, Name, Strict, TypeWord, Value, refuse, unfinished

LONGEST_S = 31_536_000
Seconds = Annotated[int, pydantic.Field(ge=60, le=LONGEST_S)]


class ByPerson(Strict):
    person: Annotated[str, StringConstraints(pattern=r"^usr_[0-9a-z]{26}$")]


class ByRole(Strict):
    role: Literal["owner", "admin", "member", "viewer"]


class ByGroup(Strict):
    """People who are asked together; a check says so as long as there are no groups."""

    group: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}_[0-9a-z]{1,40}$")]


class ByStarter(Strict):
    starter: Literal[True]


def _which(doc: Any) -> str | None:
    keys = doc.keys() if isinstance(doc, dict) else set(type(doc).model_fields)
    return next((key for key in ("person", "role", "group", "starter") if key in keys), None)


Who = Annotated[
    Annotated[ByPerson, Tag("person")]
    | Annotated[ByRole, Tag("role")]
    | Annotated[ByGroup, Tag("group")]
    | Annotated[ByStarter, Tag("starter")],
    Discriminator(_which),
]


class SoMany(Strict):
    n: Annotated[int, pydantic.Field(ge=1, le=20)] = pydantic.Field(title="How many people")


class Shown(Strict):
    """A value to check. Its name is what later steps find it by among `values`."""

    name: Name | None = None
    label: Label = ""
    type: TypeWord = "any"
    value: Value


class Due(Strict):
    """Until when: in some seconds, or at a moment."""

    in_s: Seconds | None = pydantic.Field(default=None, title="Answer within")
    at: Value = pydantic.Field(default=None, title="Answer until")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Due:
        if self.in_s is not None and self.at is not None:
            raise refuse("Give a span of time or a moment, not both")
        if self.in_s is None and self.at is None:
            raise unfinished("Say until when people may answer")
        return self


class PassOn(Strict):
    pass_to: Annotated[list[Who], pydantic.Field(min_length=1, max_length=20)]


class Words(Strict):
    """What the buttons say."""

    approve: Annotated[str, StringConstraints(max_length=40)] = ""
    reject: Annotated[str, StringConstraints(max_length=40)] = ""
    changes: Annotated[str, StringConstraints(max_length=40)] = ""
