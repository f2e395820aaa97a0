"""Read an address people wrote, once and strictly.

What comes out is used as it is, to check and to connect: where two readers of URLs could
disagree, the address is refused instead. (Open WebUI checked with one parser and fetched
with another.)
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias
from urllib.parse import quote

import idna

from webapp.kernel.addresses import Address
from webapp.kernel.outbound_errors import OutboundRefused

LONGEST_URL = 2_048
DEFAULT_PORTS = {"http": 80, "https": 443}

Origin: TypeAlias = tuple[str, str, int]

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_DOTTED_QUAD = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What RFC 3986 lets stand in a path or query; the rest is sent as %XX.
_STANDS = "/?:@!$&'()*+,;=-._~%"


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes, in the only form that is used from here on.

    Attributes:
        host: name in lower-case ASCII, or an address without brackets.
        path: path and query as sent, beginning with "/".
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> Origin:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def read_url(url: str) -> Target:
    """Return what `url` names.

    Raises:
        OutboundRefused: it breaks a rule, or readers could disagree about it.
    """
    refuse_odd_text(url)
    found = _URL.fullmatch(url)
    if found is None:
        raise OutboundRefused("The address has to begin with https:// or http://.")
    scheme, authority, path = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise OutboundRefused("The address has a user name or an @ before the host. Remove it.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or "%" in authority:
        raise OutboundRefused("The host in the address can't be read.")
    host = str(read_host(parts[1]))
    return Target(scheme, host, _port(parts[2], scheme), _path(path))


def refuse_odd_text(url: str) -> None:
    """Raise OutboundRefused for text that no reader of URLs should be trusted with."""
    if not isinstance(url, str):
        raise OutboundRefused("The address is not a text.")
    if not url:
        raise OutboundRefused("The address is empty.")
    if len(url) > LONGEST_URL:
        raise OutboundRefused(f"The address is longer than {LONGEST_URL:,} characters.")
    if "\\" in url or any(_is_odd(character) for character in url):
        raise OutboundRefused(
            "The address has a space, a line break, a backslash or a control character."
        )


def _is_odd(character: str) -> bool:
    if " " < character < "\x7f":
        return False
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp", "Zs"}


def _port(digits: str | None, scheme: str) -> int:
    if digits is None:
        return DEFAULT_PORTS[scheme]
    if not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise OutboundRefused("The port in the address has to be a number from 1 to 65535.")
    return int(digits)


def _path(path: str) -> str:
    quoted = quote(path, safe=_STANDS)
    return quoted if quoted.startswith("/") else f"/{quoted}"


def read_host(host: str) -> Address | str:
    """Return the address that `host` spells, or the DNS name in lower-case ASCII.

    Args:
        host: `192.0.2.1`, `[2001:db8::1]`, `2001:db8::1` or a name.

    Raises:
        OutboundRefused: any other spelling; libc would turn `127.1`, `2130706433`, `0x7f.1`
            and full-width digits into 127.0.0.1.
    """
    if _DOTTED_QUAD.fullmatch(host):
        return _address(IPv4Address, host)
    if host.startswith("[") and host.endswith("]"):
        return _address(IPv6Address, host[1:-1])
    if ":" in host:
        return _address(IPv6Address, host)
    return _name(host)


def _address(kind: type[IPv4Address | IPv6Address], text: str) -> Address:
    if "%" not in text:
        try:
            return kind(text)
        except ValueError:
            pass
    raise OutboundRefused("The numbers of the host in the address can't be read.")


def _name(host: str) -> str:
    if not host:
        raise OutboundRefused("The address names no host.")
    name = host.lower() if host.isascii() else _in_ascii(host)
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise OutboundRefused("The host in the address is not a name that DNS knows.")
    if not "a" <= labels[-1][0] <= "z":
        raise OutboundRefused(
            "The host in the address is a number in an unusual form. "
            "Write it with four decimal parts, such as 192.0.2.1."
        )
    return name


def _in_ascii(host: str) -> str:
    name = host.lower()
    # Before and after: the Kelvin sign is a plain "k" in lower case.
    if any(unicodedata.normalize("NFKC", form) != form for form in (host, name)):
        raise OutboundRefused("The host in the address has letters that only look like others.")
    try:
        return ".".join(idna.alabel(label).decode("ascii") for label in name.split("."))
    except idna.IDNAError:
        raise OutboundRefused(
            "The host in the address has a character that names can't have."
        ) from None
