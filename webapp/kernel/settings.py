"""Everything an operator can set, read once from the environment, `.env` and `DATA/secrets.env`.

The environment wins over `.env`, which wins over `secrets.env`. Nothing is read at import.
Descriptions below are the reference: `make docs` writes them to docs/settings.md and .env.example.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from webapp.kernel import settings_checks as checks
from webapp.kernel.secret_keys import KEYS, kept_keys, make_keys


class OutboundRule(NamedTuple):
    """A private range that steps may reach, by the operator's word."""

    network: IPv4Network | IPv6Network
    first_port: int
    last_port: int


class SettingsError(Exception):
    """The settings can't be used; `problems` has one plain sentence for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """One process's settings. The environment's `DATABASE_URL` is `settings.database_url` here."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    app_env: Literal["development", "testing", "production"] = Field(
        "development",
        description="Which profile: `development` serves this machine only and makes its own "
        "keys; `production` refuses what is weak or missing; `testing` is for tests.",
    )
    data: Path = Field(
        Path("data"),
        description="Folder for everything kept on this machine: database, files, keys, logs.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0 takes a free one.")
    base_url: str = Field(
        "",
        description="Where people reach Deckhand, such as `https://deckhand.example`. "
        "Empty: `http://HOST:PORT`. Links in mails and webhooks begin with it.",
    )
    trusted_hosts: tuple[str, ...] = Field(
        (),
        description="Host names that requests may ask for, with commas. "
        "Empty: this machine's own names; production needs it.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="How many proxies in front add `X-Forwarded-For`."
    )
    allow_http: bool = Field(
        False, description="`1` lets production run without https. Sign-ins then travel in clear."
    )
    web_threads: int = Field(
        256,
        ge=64,
        le=4096,
        description="Threads of the web process. An open page holds one; 32 stay free for pages.",
    )

    database_url: str = Field(
        "",
        repr=False,
        description="`postgresql://user:password@host/name` or `sqlite:////path`. "
        "Empty: SQLite in DATA.",
    )
    redis_url: str = Field(
        "",
        repr=False,
        description="`redis://`, `rediss://` or `unix://`. Empty: `deckhand up` brings a Valkey.",
    )

    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs forms and links: 32 bytes or more. Made on first start."
    )
    master_key: SecretStr = Field(
        SecretStr(""), description="Seals stored credentials: 32 bytes or more, kept for ever."
    )
    audit_key: SecretStr = Field(
        SecretStr(""), description="Seals the audit record: 32 bytes or more, kept for ever."
    )

    model_base_url: str = Field(
        "",
        description="An OpenAI-compatible model server, such as `https://models.example/v1`. "
        "Empty: the built-in offline provider.",
    )
    model_api_key: SecretStr = Field(SecretStr(""), description="Key for that server.")
    model_name: str = Field("", description="Model that steps use which name none.")
    outbound_allow: tuple[OutboundRule, ...] = Field(
        (),
        description="Private addresses that steps may reach, as `range:ports` with commas, such as "
        "`127.0.0.1/32:9000-9999`. Empty: public addresses only.",
    )
    smtp_url: str = Field(
        "",
        repr=False,
        description="Mail server, as `smtp://user:password@host:587`, with "
        "`?from=desk@acme.example` for the address that mails come from. Empty: no mail.",
    )

    workers: int = Field(
        min(2, os.cpu_count() or 1), ge=1, le=64, description="Worker processes of `deckhand up`."
    )
    runs_per_worker: int = Field(
        32, ge=1, le=1000, description="Runs that one worker carries at the same time."
    )
    each_split: int = Field(
        200,
        ge=0,
        le=10_000,
        description="Items of a list that one run does. Of a longer list each so many are a run of "
        "their own, a part, that any worker takes. 0: no list is split.",
    )
    lease_s: int = Field(
        15, ge=2, le=300, description="Seconds after which a silent worker's runs go to another."
    )
    keep_runs_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days that finished runs are kept, with their steps and values. 0: for ever.",
    )
    cache_backend: Literal["redis", "memory", "sqlite", "off"] = Field(
        "redis",
        description="Where answers of tools and models are kept that may be given again: `redis` "
        "for all processes, `sqlite` for those of this machine, `memory` for each one alone, "
        "`off` nowhere.",
    )
    cache_items: int = Field(
        2000, ge=1, le=1_000_000, description="Answers that are kept at most, of 32 kB at most."
    )
    breaker_open_s: int = Field(
        30,
        ge=1,
        le=600,
        description="Seconds that a service is left alone after 5 of 10 calls to it failed. Each "
        "further time in a row takes twice as long, up to 10 minutes.",
    )
    breaker_wait_s: int = Field(
        3600,
        ge=0,
        le=604_800,
        description="Seconds that a step waits at most for such a service. Then the step fails.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`json` writes one object a line. Production takes json if unset."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important thing that is logged."
    )
    crash_at: str = Field(
        "",
        description="`name#nth`: the process kills itself there. Only with APP_ENV=testing.",
    )

    @property
    def production(self) -> bool:
        return self.app_env == "production"

    @property
    def https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: dict[str, object]) -> dict[str, object]:
        filled = dict(given)
        if filled.get("app_env") == "production":
            filled.setdefault("log_format", "json")
        else:
            filled.setdefault("trusted_hosts", "localhost,127.0.0.1,[::1]")
        data = Path(str(filled.get("data", "data"))).expanduser().absolute()
        filled["data"] = data
        filled.setdefault("database_url", f"sqlite:///{data / 'deckhand.sqlite3'}")
        host = str(filled.get("host", "127.0.0.1"))
        shown = f"[{host}]" if ":" in host else host
        filled.setdefault("base_url", f"http://{shown}:{filled.get('port', 8000)}")
        return filled

    @field_validator("trusted_hosts", mode="before")
    @classmethod
    def _names(cls, given: object) -> object:
        return tuple(checks.words(given)) if isinstance(given, str) else given

    @field_validator("outbound_allow", mode="before")
    @classmethod
    def _rules(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(OutboundRule(*checks.outbound_rule(word)) for word in checks.words(given))

    @field_validator("database_url")
    @classmethod
    def _database(cls, given: str) -> str:
        return checks.database_url(given)

    @field_validator("base_url", "model_base_url")
    @classmethod
    def _web_address(cls, given: str) -> str:
        return checks.url(given, {"http", "https"}).rstrip("/")

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, given: str) -> str:
        return checks.url(given, {"redis", "rediss", "unix"})

    @field_validator("smtp_url")
    @classmethod
    def _mail(cls, given: str) -> str:
        return checks.url(given, {"smtp", "smtps"})


def load_settings(env: Mapping[str, str] | None = None, *, makes_keys: bool = True) -> Settings:
    """Return the settings of `env` (else of the process and `.env`), or raise `SettingsError`.

    Outside production, missing keys are made and kept in `DATA/secrets.env`; that is said once.
    Who only looks makes none.
    """
    given = _given(env)
    data = Path(given.get("data", "data")).expanduser().absolute()
    kept, problems = kept_keys(data)
    given = kept | given
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(problems + checks.sentences(error, given)) from None
    problems += checks.by_profile(settings, debug=given.get("flask_debug", ""))
    if problems:
        raise SettingsError(problems)
    missing = [name for name in KEYS if name not in given]
    if not missing or not makes_keys:
        return settings
    made, problems = make_keys(data, missing)
    if problems:
        raise SettingsError(problems)
    return settings.model_copy(update={name: SecretStr(key) for name, key in made.items()})


def _given(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return what is set, by lower-case name; an empty value counts as not set."""
    if env is None:
        env = {**{k: v or "" for k, v in dotenv_values(".env").items()}, **os.environ}
    known = {*Settings.model_fields, "flask_debug"}
    return {
        name.lower(): value.strip()
        for name, value in env.items()
        if name == name.upper() and name.lower() in known and value.strip()
    }


def redacted_url(url: str) -> str:
    """Return `url` with its password hidden, fit for a message."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)
