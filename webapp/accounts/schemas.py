"""What set-up, sign-in and the account page take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from webapp.kernel.drafts import Draft

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256

_LABEL = ".example"


def _email(text: str) -> str:
    try:
        # With one more label, since olga@box.local is right on a machine of one's own.
        found = validate_email(f"{text}{_LABEL}", check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("value is not a valid email address") from None
    return found.normalized.removesuffix(_LABEL)


Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_email)
]


def _new_password(title: str, enter: str) -> Any:
    hint = "At least 12 characters. A sentence works well."
    return _password(title, enter, min_length=SHORTEST_PASSWORD, description=hint)


def _password(title: str, enter: str, *, min_length: int = 1, **more: Any) -> Any:
    return Field(
        title=title,
        min_length=min_length,
        max_length=LONGEST_PASSWORD,
        json_schema_extra={"widget": "password", "enter": enter},
        **more,
    )


class _WithPassword(Draft):
    model_config = ConfigDict(str_strip_whitespace=False)  # blanks are part of a password


class SetUp(_WithPassword):
    name: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        title="Your name",
        min_length=1,
        max_length=80,
        json_schema_extra={"autocomplete": "name"},
    )
    email: Email = Field(
        title="Email",
        json_schema_extra={
            "widget": "email",
            "enter": "your email address",
        },
    )
    password: str = _new_password("Password", "a password")


class SetupCode(Draft):
    code: str = Field(
        title="Set-up code",
        description="It stands in the terminal where Deckhand was started.",
        min_length=1,
        max_length=200,
        json_schema_extra={"autocomplete": "off", "enter": "the set-up code"},
    )


class SignIn(_WithPassword):
    email: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        title="Email",
        min_length=1,
        max_length=254,
        json_schema_extra={
            "widget": "email",
            "enter": "your email address",
        },
    )
    password: str = _password("Password", "your password")


class NewPassword(_WithPassword):
    password: str = _password("Present password", "your present password")
    new_password: str = _new_password("New password", "a new password")


class Appearance(Draft):
    theme: Literal["system", "light", "dark"] = Field(
        title="Colors",
        json_schema_extra={
            "widget": "radios",
            "labels": {"system": "As the system", "light": "Light", "dark": "Dark"},
        },
    )
