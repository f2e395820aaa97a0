"""The two ways a step ends other than well."""

from __future__ import annotations

from typing import Any


class StepError(Exception):
    """A step failed for a reason that a person can read.

    Args:
        code: entry of the error catalogue ("E-HTTP-4XX").
        text: one or two sentences, ready for the page: what happened, what was not done.
        proven: it is certain that nothing happened outside, so that even a step whose effect
            must happen at most once may be tried again.
        retry_after_s: how long the other side asked us to wait.
        retryable: trying again with the same request can help at all (a busy provider: yes;
            a wrong key: no).
        facts: what the catalogue's text and the details pane fill in; no secrets.
    """

    def __init__(
        self,
        code: str,
        text: str,
        *,
        proven: bool,
        retry_after_s: float | None = None,
        retryable: bool = True,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.proven = proven
        self.retry_after_s = retry_after_s
        self.retryable = retryable
        self.facts = facts or {}


class Cancelled(BaseException):
    """The run was cancelled. Not an Exception, so that no step can swallow it."""
