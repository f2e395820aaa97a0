"""Certificates: made for the test, checked for the name although the address is connected."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kernel.outbound_server import Names, Server, by_path, reply, says, serving
from webapp.kernel.clock import now
from webapp.kernel.http import Credential, HttpAnswer, HttpClient, OutboundUnreachable


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


SIGNS = _usage(signs=True)
STANDS_FOR_ITSELF = _usage(signs=False)


class Authority:
    """Signs certificates, and is trusted by the clients of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.certificate = self._sign(
            self.name, self.key, x509.BasicConstraints(ca=True, path_length=0), SIGNS
        )

    def trusted(self) -> ssl.SSLContext:
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server(self, name: str, seen: list[str | None] | None = None) -> ssl.SSLContext:
        """Return a server's context with a certificate for `name`; `seen` collects SNI."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        signed = self._sign(subject, key, names, STANDS_FOR_ITSELF)
        file = self.folder / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if seen is not None:
            context.sni_callback = lambda _, sni, __: seen.append(sni)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        usage: x509.KeyUsage,
    ) -> x509.Certificate:
        issuer = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=1))
            .not_valid_after(now() + timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(usage, critical=True)  # Python 3.13 insists on it
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), False
            )
            .sign(self.key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_the_certificate_and_sni_are_the_names_and_the_address_is_the_checked_one(
    authority: Authority,
) -> None:
    seen: list[str | None] = []
    names = Names(shop_example=["127.0.0.1"])

    async def run() -> tuple[HttpAnswer, Server]:
        async with serving(says(b"safe"), authority.server("shop.example", seen)) as server:
            async with HttpClient(
                server.allow, resolve=names, ssl_context=authority.trusted()
            ) as http:
                secret = Credential("Authorization", "x", (f"shop.example:{server.port}",))
                url = f"https://SHOP.example:{server.port}/"
                await http.request("GET", url, credentials=[secret])
                return await http.request("GET", url), server

    answer, server = asyncio.run(run())

    assert answer.body == b"safe"
    assert seen == ["shop.example"]
    assert names.asked == ["shop.example"]
    assert server.connections == 1
    assert server.requests[0].headers["host"] == f"shop.example:{server.port}"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_name_stops_before_anything_is_sent(
    authority: Authority, host: str
) -> None:
    async def run() -> tuple[OutboundUnreachable, Server]:
        async with serving(says(), authority.server("shop.example")) as server:
            names = Names(other_example=["127.0.0.1"])
            async with HttpClient(
                server.allow, resolve=names, ssl_context=authority.trusted()
            ) as http:
                with pytest.raises(OutboundUnreachable, match="certificate") as failed:
                    await http.request("POST", f"https://{host}:{server.port}/", body=b"x")
                return failed.value, server

    failed, server = asyncio.run(run())

    assert not failed.sent
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    async def run() -> OutboundUnreachable:
        async with serving(says(), authority.server("shop.example")) as server:
            names = Names(shop_example=["127.0.0.1"])
            async with HttpClient(server.allow, resolve=names) as http:
                with pytest.raises(OutboundUnreachable, match="certificate") as failed:
                    await http.request("POST", f"https://shop.example:{server.port}/", body=b"x")
                return failed.value

    assert not asyncio.run(run()).sent


def test_a_redirect_from_https_to_http_loses_its_key(authority: Authority) -> None:
    async def run() -> list[dict[str, str]]:
        async with serving(says()) as plain:
            moved = reply(b"", 302, [("Location", f"http://shop.example:{plain.port}/")])
            tls = authority.server("shop.example")
            async with serving(by_path({"/": moved}), tls) as safe:
                both = [*safe.allow.rules, *plain.allow.rules]
                names = Names(shop_example=["127.0.0.1"])
                async with HttpClient(
                    type(safe.allow)(both), resolve=names, ssl_context=authority.trusted()
                ) as http:
                    await http.request(
                        "GET",
                        f"https://shop.example:{safe.port}/",
                        {"Authorization": "Bearer x"},
                        redirects=1,
                    )
                return [safe.requests[0].headers, plain.requests[0].headers]

    first, second = asyncio.run(run())

    assert first["authorization"] == "Bearer x"
    assert "authorization" not in second
