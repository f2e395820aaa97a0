"""The errors that people and programs may see, each with a code of the catalogue.

Services raise these. `web/errors.py` shows each as a page, an HTMX notice or problem JSON.
Anything else that is raised is a bug and shows a reference only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from webapp.kernel.catalogue import CATALOGUE, Entry


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing to correct in what was sent.

    Attributes:
        pointer: JSON pointer of the value (RFC 6901), such as "/inputs/day"; "" is the whole.
        code: catalogue code, such as "E-FIELD-EMPTY".
        detail: the sentence that stands at the field and in the summary alike.
    """

    pointer: str
    code: str
    detail: str


class AppError(Exception):
    """An expected failure: `code` names its texts, `facts` fill their gaps."""

    status: ClassVar[int] = 500

    def __init__(self, code: str, **facts: Any) -> None:
        self.code = code
        self.facts = facts
        super().__init__(f"{code}: {self.title} {self.text}".strip())

    @property
    def entry(self) -> Entry:
        return CATALOGUE[self.code]

    @property
    def title(self) -> str:
        return self.entry.title.format_map(_Facts(self.facts))

    @property
    def text(self) -> str:
        return self.entry.text.format_map(_Facts(self.facts))

    @property
    def not_done(self) -> str:
        return self.entry.not_done.format_map(_Facts(self.facts))


class BadRequest(AppError):
    """The request itself cannot be read: broken JSON, a form that was already sent."""

    status = 400


class SignedOut(AppError):
    """Nobody is signed in, or the key is not accepted; all causes look the same."""

    status = 401


class Forbidden(AppError):
    """The person is known and the thing exists, but the role does not hold the permission."""

    status = 403


class NotFound(AppError):
    """No such thing here. Another organization's thing is "not found" too."""

    status = 404

    def __init__(self, code: str = "E-404", **facts: Any) -> None:
        super().__init__(code, **facts)


class Conflict(AppError):
    """The thing changed meanwhile, or is in a state in which this cannot be done."""

    status = 409


class Gone(AppError):
    """It existed and was deleted or used up."""

    status = 410


class Invalid(AppError):
    """Values to correct, in the order of the fields."""

    status = 422

    def __init__(self, errors: Iterable[FieldError], code: str = "E-FIELDS", **facts: Any) -> None:
        self.errors = list(errors)
        super().__init__(code, count=len(self.errors), **facts)

    @classmethod
    def at(cls, pointer: str, code: str, **facts: Any) -> Self:
        """Return the error for one field, worded by the catalogue."""
        return cls([field_error(pointer, code, **facts)])


class Taken(Invalid):
    """A value that is right by itself, but something else has it already."""

    status = 409


class _Later(AppError):
    def __init__(self, code: str, *, retry_after: int = 1, **facts: Any) -> None:
        self.retry_after = retry_after
        super().__init__(code, retry_after=retry_after, **facts)


class LimitReached(_Later):
    """Too many, too fast or too full: come back after `retry_after` seconds."""

    status = 429


class Unavailable(_Later):
    """A part of ours does not answer at present; nothing was done."""

    status = 503


def field_error(pointer: str, code: str, **facts: Any) -> FieldError:
    """Return a `FieldError` worded by the catalogue entry `code`."""
    entry = CATALOGUE[code]
    return FieldError(pointer, code, (entry.text or entry.title).format_map(_Facts(facts)))


class _Facts(dict[str, Any]):
    """A missing fact must not turn a clear error into a KeyError."""

    def __missing__(self, key: str) -> str:
        return "…"
