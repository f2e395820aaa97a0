"""What is wrong with settings, in sentences that say what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

if TYPE_CHECKING:
    from webapp.kernel.settings import Settings

# Values that stand in tutorials, templates and other projects' example files.
KNOWN_BAD = re.compile(
    r"(change|replace)[-_ ]?(me|this|it|with)|(your|insert|dev)[-_ ]?(secret|key)|secret[-_ ]?key"
    r"|super[-_ ]?secret|example|default|password|development|insecure|qwerty|lorem"
    r"|0123456789|1234567890|abcdefgh|^(.{1,4})\4+$",
    re.IGNORECASE,
)
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


def words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def url(given: str, schemes: Collection[str]) -> str:
    if not given:
        return given
    parts = urlsplit(given)
    if parts.scheme not in schemes or not (parts.netloc or parts.scheme == "unix"):
        wanted = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
        raise ValueError(f"It has to begin with {wanted} and name a host.")
    return given


def database_url(given: str) -> str:
    """Return the address with the driver that Deckhand brings."""
    scheme, _, rest = given.partition("://")
    if scheme in {"postgres", "postgresql", "postgresql+psycopg"} and rest:
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return given
    raise ValueError(
        "It has to begin with postgresql:// or be a file, as in sqlite:////srv/deckhand.db."
    )


def outbound_rule(word: str) -> tuple[IPv4Network | IPv6Network, int, int]:
    """Read `range:ports`; the ports are one number or two with a dash."""
    address, _, ports = word.rpartition(":")
    first, _, last = ports.partition("-")
    try:
        network = ip_network(address.strip("[]").replace("]/", "/"))
        low, high = int(first), int(last or first)
    except ValueError:
        low, high, network = 0, 0, None
    if network is None or not 1 <= low <= high <= 65535:
        raise ValueError(f"“{word}” has to look like 127.0.0.1/32:9000-9999 or 10.0.0.0/8:443.")
    return network, low, high


# Fields whose values may be or hold a secret, so that no message repeats them.
_UNSPOKEN = {"secret_key", "master_key", "audit_key", "model_api_key"}
_UNSPOKEN |= {"database_url", "redis_url", "smtp_url"}
_WANTED = {
    "int_parsing": "a whole number",
    "bool_parsing": "1 or 0",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
}


def sentences(error: ValidationError, given: Mapping[str, str]) -> list[str]:
    """Return one sentence for each field that pydantic refused."""
    found = []
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        value = "" if name in _UNSPOKEN else given.get(name, "")
        start = f"{name.upper()} is “{value}”." if value else f"{name.upper()} can't be used."
        wanted = _WANTED.get(problem["type"])
        reason = problem["msg"].removeprefix("Value error, ")
        if wanted:
            reason = f"It has to be {wanted.format(**problem.get('ctx', {}))}."
        found.append(f"{start} {reason}")
    return found


def by_profile(settings: Settings, *, debug: str) -> list[str]:
    """Return what this profile does not allow."""
    problems = [] if settings.production else _closed_to_others(settings)
    if settings.app_env == "testing" and settings.crash_at:
        problems += _crash_at(settings.crash_at)
    if settings.production:
        problems += _keys(settings) + _front(settings) + _redis(settings)
        if debug.lower() not in {"", "0", "false", "no", "off"}:
            problems.append("FLASK_DEBUG is on, which shows code to strangers. Remove it.")
    return problems


def _closed_to_others(settings: Settings) -> list[str]:
    if loopback(settings.host):
        return []
    return [
        f"HOST is {settings.host}, so other machines could reach this {settings.app_env} set-up. "
        "Use 127.0.0.1, or set APP_ENV=production and what it asks for."
    ]


def loopback(host: str) -> bool:
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _crash_at(given: str) -> list[str]:
    from webapp.kernel.crashpoints import NAMES

    name, _, nth = given.partition("#")
    if name in NAMES and (not nth or (nth.isdecimal() and int(nth) > 0)):
        return []
    return [
        f"CRASH_AT is “{given}”. It has to be one of webapp/kernel/crashpoints.py, as in name#2."
    ]


def _keys(settings: Settings) -> list[str]:
    problems = []
    keys = {
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "MASTER_KEY": settings.master_key.get_secret_value(),
        "AUDIT_KEY": settings.audit_key.get_secret_value(),
    }
    make = "Make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(48))'`."
    for name, value in keys.items():
        if not value:
            problems.append(f"{name} is missing. {make}")
        elif len(value.encode()) < 32:
            problems.append(f"{name} is shorter than 32 bytes. {make}")
        elif KNOWN_BAD.search(value) or len(set(value)) < 10:
            problems.append(f"{name} is a value that others know or can guess. {make}")
    given = [value for value in keys.values() if value]
    if len(set(given)) < len(given):
        problems.append("SECRET_KEY, MASTER_KEY and AUDIT_KEY have to differ from each other.")
    return problems


def _front(settings: Settings) -> list[str]:
    problems = []
    if not settings.trusted_hosts:
        problems.append(
            "TRUSTED_HOSTS is empty. Name the hosts that people use, such as deckhand.example."
        )
    elif "*" in settings.trusted_hosts:
        problems.append("TRUSTED_HOSTS is “*”, which trusts everybody. Name the hosts people use.")
    if not settings.https and not settings.allow_http:
        problems.append(
            f"BASE_URL is {settings.base_url}, without https. Put a proxy with a certificate in "
            "front and set BASE_URL=https://..., or accept the risk with ALLOW_HTTP=1."
        )
    return problems


def _redis(settings: Settings) -> list[str]:
    parts = urlsplit(settings.redis_url)
    if not parts.hostname or loopback(parts.hostname) or parts.password:
        return []
    return [f"REDIS_URL has no password, and {parts.hostname} is another machine. Give it one."]
