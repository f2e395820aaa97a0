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


class ServiceAway(StepError):
    """A service has failed so often that it is not asked for a while: the step waits, and the
    attempt does not count.

    Args:
        host: the service, as people know it.
        again_s: after so long it may be asked again.
        most_s: a step waits at most so long in all, then it fails.
    """

    def __init__(self, host: str, again_s: float, most_s: float) -> None:
        text = f"{host} failed several times in a row, so it is left alone until it recovers."
        super().__init__(
            "E-BREAKER",
            f"{text} Nothing was sent.",
            proven=True,
            retry_after_s=again_s,
            facts={"host": host},
        )
        self.again_s = again_s
        self.most_s = most_s

    def give_up(self) -> StepError:
        """Return the error of a step that has waited long enough."""
        text = f"{self.facts['host']} did not recover in time. Nothing was sent."
        return StepError(self.code, text, proven=True, retryable=False, facts=self.facts)


class Cancelled(BaseException):
    """The run was cancelled. Not an Exception, so that no step can swallow it."""


def span(seconds: float) -> str:
    """Write a time span as people say it: "5 minutes", "90 seconds"."""
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {word}" + ("" if count == 1 else "s")
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def took_too_long(limit_s: float) -> StepError:
    text = f"This step took longer than {span(limit_s)}, so we stopped it."
    return StepError("E-TIME", text, proven=False, facts={"limit": span(limit_s)})
