"""Hand bytes to a browser so that it keeps them and runs nothing in them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from flask import Response

_PLAIN_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.I)
_RISKY: Final = re.compile(r"html|svg|script|css|wasm|/xml|\+xml|xsl|multipart", re.I)
"""Pages, and what a page could bring in as its own script or style: our policy trusts 'self'."""


def attachment(body: bytes | str, name: str, media_type: str) -> Response:
    """Return `body` as a download called `name`.

    What a browser could run is sent without its type. The name goes in both forms of RFC 6266.
    """
    known = _PLAIN_TYPE.fullmatch(media_type.partition(";")[0].strip())
    if known is None or _RISKY.search(known[0]):
        media_type = "application/octet-stream"
    response = Response(body, content_type=media_type)
    plain = re.sub(r'[^\x20-\x7e]|["\\%;]', "_", name)
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    )
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response
