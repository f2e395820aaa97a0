"""The table of addresses, the operator's list and the reading of URLs: no network at all."""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.outbound_places import (
    ODD_HOSTS,
    ODD_URLS,
    PRIVATE_4,
    PRIVATE_6,
    PUBLIC,
)
from tests.kernel.outbound_server import Names, every_connection
from webapp.kernel.addresses import AllowList, AllowRule, is_public, parse_allow
from webapp.kernel.http import HttpClient, OutboundRefused
from webapp.kernel.outbound import Gate
from webapp.kernel.outbound_urls import read_url

NAMES = {
    "public.example": ["93.184.215.14"],
    "localhost": ["127.0.0.1"],
    "mixed.example": ["93.184.215.14", "10.0.0.1"],
    "many.example": [f"93.184.{n // 200}.{n % 200 + 1}" for n in range(300)],
    "zone.example": ["fe80::1%eth0"],
    "metadata.google.internal": ["169.254.169.254"],
}


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


HOSTILE = [
    *(f"http://{bracketed(address)}/" for address in PRIVATE_4 + PRIVATE_6),
    *(f"https://{bracketed(address)}:8443/x" for address in PRIVATE_4[::3] + PRIVATE_6[::3]),
    *(f"http://{host}/" for host in ODD_HOSTS),
    *ODD_URLS,
]


def test_the_hostile_table_is_large() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 300


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_a_hostile_url_is_refused_and_nothing_is_connected(url: str) -> None:
    names = Names()
    names.answers = dict(NAMES)

    async def ask() -> None:
        async with HttpClient(AllowList(), resolve=names) as client:
            await client.request("GET", url, timeout_s=2)

    with every_connection() as tried, pytest.raises(OutboundRefused) as refused:
        asyncio.run(ask())
    assert tried == []
    assert not refused.value.sent
    assert refused.value.reason.endswith((".", "192.0.2.1."))
    assert len(names.asked) <= 1


@pytest.mark.parametrize("address", PRIVATE_4 + PRIVATE_6)
def test_a_name_that_leads_to_a_special_address_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))

    for answers in ([address], ["93.184.215.14", address], [address, "2606:4700:4700::1111"]):
        with pytest.raises(OutboundRefused):
            asyncio.run(Gate(AllowList(), Names(a_example=answers)).addresses("a.example", 443))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    gate = Gate(AllowList(), Names(a_example=[address]))

    assert is_public(ip_address(address))
    assert asyncio.run(gate.addresses(address, 443)) == [ip_address(address)]
    assert asyncio.run(gate.addresses("a.example", 8080)) == [ip_address(address)]


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/", "https://example.com/"),
        ("http://example.com:80/a?b=c#d", "http://example.com/a?b=c"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com?q=1", "https://example.com/?q=1"),
        ("https://example.com#top", "https://example.com/"),
        ("https://sub-domain.example.co.uk/x", "https://sub-domain.example.co.uk/x"),
        ("https://a_b.example/", "https://a_b.example/"),
        ("https://3com.example/", "https://3com.example/"),
        ("https://1.2.3.4.example/", "https://1.2.3.4.example/"),
        ("https://0x7f.example/", "https://0x7f.example/"),
        ("https://münchen.example/straße", "https://xn--mnchen-3ya.example/stra%C3%9Fe"),
        ("https://MÜNCHEN.example/", "https://xn--mnchen-3ya.example/"),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://faß.example/", "https://xn--fa-hia.example/"),
        ("http://1.1.1.1/", "http://1.1.1.1/"),
        ("http://[2606:4700:4700:0:0:0:0:1111]/", "http://[2606:4700:4700::1111]/"),
        ("https://[2606:4700:4700::1111]:8443/x", "https://[2606:4700:4700::1111]:8443/x"),
        ("https://example.com/a@b:c/%2e%2E/[x]", "https://example.com/a@b:c/%2e%2E/%5Bx%5D"),
        ("https://example.com/?u=http://127.0.0.1/", "https://example.com/?u=http://127.0.0.1/"),
        ("https://example.com/\u200d?\U0001f600", "https://example.com/%E2%80%8D?%F0%9F%98%80"),
        ("https://example.com/" + "a" * 2_028, "https://example.com/" + "a" * 2_028),
        ("https://" + "a" * 63 + ".example/", "https://" + "a" * 63 + ".example/"),
    ],
)
def test_an_ordinary_url_is_read_and_written_the_same_way(url: str, read: str) -> None:
    assert read_url(url).url == read
    assert read_url(read) == read_url(url)


@settings(max_examples=400, deadline=None)
@given(
    st.text(st.sampled_from("aZ019.:@/[]%?#-_\\ \t\n\u212a\uff11\u3002\u00df\u0661xn"), max_size=30)
    | st.text(max_size=30)
)
def test_what_is_accepted_reads_the_same_for_every_reader(rest: str) -> None:
    try:
        target = read_url(f"http://{rest}")
    except OutboundRefused:
        return

    assert read_url(target.url) == target
    assert urlsplit(target.url).hostname == target.host
    assert (urlsplit(target.url).port or 80) == target.port
    other = httpx2.URL(target.url)
    assert (other.raw_host.decode(), other.port or 80) == (target.host, target.port)
    assert re.fullmatch(r"/[!-~]*", target.path)


def test_a_value_that_is_no_text_is_refused() -> None:
    for value in (None, 1, b"http://public.example/", ["http://public.example/"]):
        with pytest.raises(OutboundRefused):
            read_url(value)  # type: ignore[arg-type]


def test_allow_rules_are_read() -> None:
    allow = parse_allow("127.0.0.1/32:9000-9999,10.0.0.0/8:443 [fd00::]/8:1-2,::1/128:7 [::1]:8")

    assert allow.rules == (
        AllowRule(ip_network("127.0.0.1/32"), 9000, 9999),
        AllowRule(ip_network("10.0.0.0/8"), 443, 443),
        AllowRule(ip_network("fd00::/8"), 1, 2),
        AllowRule(ip_network("::1/128"), 7, 7),
        AllowRule(ip_network("::1/128"), 8, 8),
    )
    assert parse_allow("").rules == parse_allow(" , ").rules == ()
    assert AllowList([(ip_network("10.0.0.0/8"), 443, 443)]) == parse_allow("10.0.0.0/8:443")
    assert repr(parse_allow("10.0.0.0/8:443")) == "AllowList(10.0.0.0/8:443-443)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("localhost:9000", "Names of hosts can't be used here."),
        ("127.0.0.1", "has to look like"),
        ("127.0.0.1/32", "has to look like"),
        ("127.0.0.1/32:", "has to look like"),
        ("127.0.0.1/32:http", "has to look like"),
        ("127.0.0.1/32:*", "has to look like"),
        ("::1:9000", "has to look like"),
        ("10.0.0.0/255.0.0.0:443", "has to look like"),
        ("10.0.0.1/8:443", "Write 10.0.0.0/8."),
        ("10.0.0.0/33:443", "does not begin with an address"),
        ("10.0.0/8:443", "does not begin with an address"),
        ("10.0.0.300:443", "does not begin with an address"),
        ("10.0.0.0/8:0", "1 to 65535"),
        ("10.0.0.0/8:65536", "1 to 65535"),
        ("10.0.0.0/8:9-8", "the lower one first"),
        ("10.0.0.0/8:443,nonsense", "“nonsense”"),
        ("１０.0.0.0/8:443", "has to look like"),
    ],
)
def test_a_wrong_allow_rule_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="“") as wrong:
        parse_allow(text)

    assert says in str(wrong.value)


def test_an_allow_rule_opens_its_addresses_and_ports_only() -> None:
    allow = parse_allow("127.0.0.1/32:9000-9999,[fd00::]/8:443")

    assert allow.covers(ip_address("127.0.0.1"), 9000)
    assert allow.covers(ip_address("127.0.0.1"), 9999)
    assert allow.covers(ip_address("fd00::1"), 443)
    for address, port in (
        ("127.0.0.1", 8999),
        ("127.0.0.1", 10_000),
        ("127.0.0.1", 443),
        ("127.0.0.2", 9000),
        ("fd00::1", 9000),
        ("::1", 9000),
        ("::ffff:127.0.0.1", 9000),
    ):
        assert not allow.covers(ip_address(address), port)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "::", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b:1::1", "2001:0:7f00:1::", "2002:7f00:1::", "fe80::1%eth0"),
    ],
)
def test_the_widest_rule_does_not_open_an_address_that_stands_for_another(address: str) -> None:
    allow = parse_allow("0.0.0.0/0:1-65535,[::]/0:1-65535")

    assert not allow.covers(ip_address(address), 443)
    assert allow.covers(ip_address("::1"), 443)
    assert allow.covers(ip_address("127.0.0.1"), 443)


def test_an_unusual_port_of_a_public_address_needs_a_rule() -> None:
    closed = Gate(AllowList())
    opened = Gate(parse_allow("93.184.215.14/32:9000"))

    with pytest.raises(OutboundRefused, match=r"Port 9000 is not open"):
        asyncio.run(closed.addresses("93.184.215.14", 9000))
    with pytest.raises(OutboundRefused, match=r"Port 9000 of “93\.184\.215\.15” is not open"):
        asyncio.run(opened.addresses("93.184.215.15", 9000))
    assert asyncio.run(opened.addresses("93.184.215.14", 9000)) == [ip_address("93.184.215.14")]
