"""Random texts that open something, and what is kept of them: a hash, never the text."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from pydantic import SecretStr


def new_token() -> str:
    """Return 43 letters with 256 random bits, fit for a cookie or an address."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return the SHA-256 of a random text; slow hashing would protect it no better."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def derived_key(secret: SecretStr, purpose: str) -> bytes:
    """Return a key for one purpose, so that a leak of one says nothing about the others."""
    return hmac.digest(secret.get_secret_value().encode(), purpose.encode(), "sha256")


def sealed_hash(key: bytes, text: str) -> bytes:
    """Return the HMAC-SHA256 of `text`; useless to whoever has the table but not the key."""
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256")
