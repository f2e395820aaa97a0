"""Unpack answers piece by piece and stop at a limit, so that a bomb never goes off.

A gzip bomb of 300 MB costs no more than the limit: the unpackers are told how much they may
give at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli

from webapp.kernel.outbound_errors import OutboundTooLarge, OutboundUnreachable

UNDERSTOOD = "gzip, deflate, br"
_PIECE = 64 * 1024


class _Unpacker(Protocol):
    def feed(self, packed: bytes) -> Iterator[bytes]: ...

    @property
    def complete(self) -> bool: ...


class Body:
    """Collects one answer's body.

    Args:
        coding: the `Content-Encoding` header, "" when there is none.
        most: bytes it may have after unpacking.
    """

    def __init__(self, coding: str, most: int) -> None:
        self._unpacker = _unpacker(coding.strip().lower())
        self._most = most
        self._received = 0
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, packed: bytes) -> None:
        """Take the next bytes from the wire.

        Raises:
            OutboundTooLarge: the limit is passed.
            OutboundUnreachable: the bytes are not packed as announced.
        """
        self._received += len(packed)
        # Packed bytes count too: empty gzip blocks could go on for ever without any content.
        if self._received > self._most + _PIECE:
            raise too_large(self._most)
        try:
            for piece in self._unpacker.feed(packed):
                self._size += len(piece)
                if self._size > self._most:
                    raise too_large(self._most)
                self._pieces.append(piece)
        except (zlib.error, brotli.error):
            raise _unreadable() from None

    def whole(self) -> bytes:
        """Return the body.

        Raises:
            OutboundUnreachable: the packed answer ends too early.
        """
        if self._received and not self._unpacker.complete:
            raise _unreadable()
        return b"".join(self._pieces)


def too_large(most: int) -> OutboundTooLarge:
    return OutboundTooLarge(f"The answer has more than {most:,} bytes.")


def _unreadable() -> OutboundUnreachable:
    return OutboundUnreachable("The answer is packed wrongly or was cut off.", sent=True)


def _unpacker(coding: str) -> _Unpacker:
    match coding:
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Gzip()
        case "deflate":
            return _Deflate()
        case "br":
            return _Brotli()
    raise OutboundUnreachable("The answer is packed in a way that can't be read.", sent=True)


class _Plain:
    complete = True

    def feed(self, packed: bytes) -> Iterator[bytes]:
        yield packed


def _inflate(stream: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    piece = stream.decompress(packed, _PIECE)
    yield piece
    # A full piece means that more may wait inside, even when all input is used up.
    while len(piece) == _PIECE and not stream.eof:
        piece = stream.decompress(stream.unconsumed_tail, _PIECE)
        yield piece


class _Gzip:
    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            if self._member.eof:  # RFC 1952: several members follow each other
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._begun = True
            yield from _inflate(self._member, packed)
            packed = self._member.unused_data


class _Deflate:
    """RFC 9110 means zlib by "deflate"; some servers send it bare."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._first = b""

    @property
    def complete(self) -> bool:
        return self._stream.eof

    def feed(self, packed: bytes) -> Iterator[bytes]:
        if len(self._first) < 2:
            self._first = packed = self._first + packed
            if len(packed) < 2:
                return
            if packed[0] & 0x0F != 8 or int.from_bytes(packed[:2], "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
            self._first = packed[:2]
        if not self._stream.eof:
            yield from _inflate(self._stream, packed)


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def complete(self) -> bool:
        return bool(self._stream.is_finished())

    def feed(self, packed: bytes) -> Iterator[bytes]:
        piece = self._stream.process(packed, output_buffer_limit=_PIECE)
        while piece:
            yield piece
            piece = self._stream.process(b"", output_buffer_limit=_PIECE)
