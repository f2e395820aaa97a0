"""Why a request to another system did not end in an answer.

`sent` is what the durable engine asks for: False means that no byte of the request left this
machine, so that another try can't do anything twice.
"""

from __future__ import annotations


class OutboundError(Exception):
    """`reason` is a sentence for people; it never repeats a header, a body or an exception."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        self.reason = reason
        self.sent = sent
        super().__init__(reason)


class OutboundRefused(OutboundError):
    """A rule forbids it. `sent` is True only when an answer redirected to a forbidden place."""

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason, sent=sent)


class OutboundUnreachable(OutboundError):
    """The other side could not be found or reached, was too slow, or can't be understood."""


class OutboundTooLarge(OutboundError):
    """The answer is larger than asked for; reading stopped there."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, sent=True)
