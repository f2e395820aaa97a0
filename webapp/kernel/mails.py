"""Mails: made of a template of `templates/mail`, as text and as HTML, and handed to SMTP_URL."""

from __future__ import annotations

import smtplib
import ssl
from base64 import urlsafe_b64encode
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from webapp.kernel.clock import now
from webapp.kernel.settings import Settings
from webapp.kernel.shipped import folder_of
from webapp.kernel.tokens import derived_key, sealed_hash
from webapp.kernel.visible import made_visible

TIMEOUT_S: Final = 10.0
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def link_token(settings: Settings, seed: str) -> str:
    """Return the secret end of a link: the same for the same seed, and kept nowhere."""
    sealed = sealed_hash(derived_key(settings.secret_key, "links in mails"), seed)
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def send_mail(settings: Settings, payload: dict[str, Any]) -> None:
    """Send what an outbox row of kind `mail` says.

    Args:
        payload: `template`, `to`, `subject`, `facts` for the template; of a mail with a link to
            press, also `link`, the path without its secret end, and `seed` to make that of.

    Raises:
        OSError: the mail server could not be reached, or did not take it.
    """
    facts = dict(payload["facts"]) | {"home": settings.base_url}
    if "seed" in payload:
        end = link_token(settings, payload["seed"])
        facts["link"] = f"{settings.base_url}{payload['link']}{end}"
    _hand_over(settings.smtp_url, message_of(settings, payload, facts))


def message_of(settings: Settings, payload: dict[str, Any], facts: dict[str, Any]) -> EmailMessage:
    """Return the mail; sent again, it has the same Message-ID."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Deckhand", addr_spec=_sender(settings))
    message["To"] = payload["to"]
    message["Subject"] = " ".join(made_visible(payload["subject"]).split())[:200]
    message["Date"] = format_datetime(now())
    mark = sha256(f"{payload['to']}|{payload['subject']}|{payload.get('seed')}".encode())
    host = urlsplit(settings.base_url).hostname or "localhost"
    message["Message-ID"] = f"<{mark.hexdigest()[:32]}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    name = payload["template"]
    message.set_content(_templates().get_template(f"mail/{name}.txt").render(facts))
    html = _templates().get_template(f"mail/{name}.html").render(facts)
    message.add_alternative(html, subtype="html")
    return message


def _sender(settings: Settings) -> str:
    """Return the address that mails come from: `?from=` of SMTP_URL, else its user, else ours."""
    parts = urlsplit(settings.smtp_url)
    given = parse_qs(parts.query).get("from", [""])[0] or unquote(parts.username or "")
    _, address = parseaddr(given)
    if "@" in address:
        return address
    return f"deckhand@{urlsplit(settings.base_url).hostname or 'localhost'}"


def _hand_over(url: str, message: EmailMessage) -> None:
    parts = urlsplit(url)
    host, over_tls = parts.hostname or "localhost", parts.scheme == "smtps"
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if over_tls:
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_S)
    with server:
        server.ehlo_or_helo_if_needed()
        if not over_tls and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            over_tls = True
        if parts.password:
            if not over_tls and host not in _LOCAL:
                raise smtplib.SMTPException("the mail server offers no TLS for the password")
            server.login(unquote(parts.username or ""), unquote(parts.password))
        server.send_message(message)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(folder_of("templates")),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
