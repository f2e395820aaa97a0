"""Which addresses Deckhand may connect to: public ones, and what the operator allows.

The table is our own. Python's `is_global` calls 64:ff9b::a9fe:a9fe, 2002:a9fe:a9fe::,
fec0::1 and 192.0.0.192 public, and `is_private` does not know 100.64.0.0/10.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # between providers and their customers
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's machine agent, on an address that looks public
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# Each of these says "the IPv4 address in my last (or first) bits": what it leads to is decided
# by a gateway or the kernel, so no range of an operator can mean them.
_CARRIES_IPV4 = tuple(
    IPv6Network(network)
    for network in (
        "::ffff:0:0/96",  # mapped
        "::ffff:0:0:0/96",  # SIIT
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    )
)
_COMPATIBLE = IPv6Network("::/96")
_LOOPBACK_6 = IPv6Address("::1")
_UNSPECIFIED_4 = IPv4Address("0.0.0.0")  # noqa: S104 -- Linux connects it to this machine


def is_public(address: Address) -> bool:
    """Return whether `address` is an ordinary one of the internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _UNICAST_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def _is_never_allowed(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address == _UNSPECIFIED_4
    if address in _COMPATIBLE:
        return address != _LOOPBACK_6
    return address.scope_id is not None or any(address in network for network in _CARRIES_IPV4)


class AllowRule(NamedTuple):
    network: Network
    first_port: int
    last_port: int


class AllowList:
    """What the operator lets Deckhand reach besides public addresses on the usual ports."""

    __slots__ = ("rules",)

    def __init__(self, rules: Iterable[tuple[Network, int, int]] = ()) -> None:
        self.rules = tuple(AllowRule(*rule) for rule in rules)

    def covers(self, address: Address, port: int) -> bool:
        return not _is_never_allowed(address) and any(
            rule.first_port <= port <= rule.last_port and address in rule.network
            for rule in self.rules
        )

    def knows_port(self, port: int) -> bool:
        return any(rule.first_port <= port <= rule.last_port for rule in self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllowList) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __repr__(self) -> str:
        rules = (f"{rule.network}:{rule.first_port}-{rule.last_port}" for rule in self.rules)
        return f"AllowList({', '.join(rules)})"


_RULE = re.compile(
    r"(?:\[(?P<boxed>[0-9A-Fa-f:.]+)\]|(?P<bare>[0-9.]+|[0-9A-Fa-f:.]+(?=/)))"
    r"(?:/(?P<prefix>[0-9]{1,3}))?"
    r":(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?",
    re.ASCII,
)


def parse_allow(text: str) -> AllowList:
    """Read rules such as `127.0.0.1/32:9000-9999, [fd00::]/8:443`.

    Raises:
        ValueError: with a sentence for the operator.
    """
    return AllowList(_rule(word) for word in re.split(r"[,\s]+", text) if word)


def _rule(word: str) -> AllowRule:
    found = _RULE.fullmatch(word)
    if found is None:
        raise ValueError(
            f"“{word}” has to look like 127.0.0.1/32:9000-9999, 10.0.0.0/8:443 or [fd00::]/8:443. "
            "Names of hosts can't be used here."
        )
    address, prefix = found["boxed"] or found["bare"], found["prefix"]
    try:
        network = ip_network(f"{address}/{prefix}" if prefix else address)
    except ValueError:
        raise ValueError(_why_no_network(word, address, prefix)) from None
    first = int(found["first"])
    last = int(found["last"] or first)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"The ports of “{word}” have to be from 1 to 65535, the lower one first.")
    return AllowRule(network, first, last)


def _why_no_network(word: str, address: str, prefix: str | None) -> str:
    try:
        wider = ip_network(f"{address}/{prefix}", strict=False)
    except ValueError:
        return f"“{word}” does not begin with an address such as 10.0.0.0/8 or [fd00::]/8."
    return f"“{address}/{prefix}” has more digits than its /{prefix} uses. Write {wider}."
