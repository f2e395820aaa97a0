"""What went wrong at the provider, in our words. Imported only after pydantic-ai is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webapp.engine.errors import StepError

if TYPE_CHECKING:
    from pydantic_ai.exceptions import AgentRunError

MAX_WAIT_S = 3_600.0


def step_error(error: AgentRunError, model: str) -> StepError:
    """Return the error of the step for an error of the SDK.

    An error of ours that was raised below it (an address that may not be reached) comes back
    as it was.
    """
    ours = _ours_below(error)
    if ours is not None:
        return ours
    code, text, may_help = _reading(error, model)
    wait_s = getattr(error, "retry_after", None)
    facts = {"model": model, "status": getattr(error, "status_code", None)}
    return StepError(
        code,
        text,
        proven=True,
        retry_after_s=min(float(wait_s), MAX_WAIT_S) if wait_s else None,
        retryable=may_help,
        facts={name: fact for name, fact in facts.items() if fact is not None},
    )


def cost_nothing(error: BaseException) -> bool:
    """Whether the server refused the question, or never got it."""
    if not isinstance(error, StepError):
        return False
    return "status" in error.facts or (error.proven and error.code.startswith("E-HTTP-"))


def _ours_below(error: BaseException) -> StepError | None:
    below: BaseException | None = error
    for _ in range(10):
        if below is None or isinstance(below, StepError):
            return below
        below = below.__cause__ or below.__context__
    return None


def _reading(error: AgentRunError, model: str) -> tuple[str, str, bool]:
    """Return code, text, and whether trying again can help."""
    from pydantic_ai import exceptions as sdk

    status = getattr(error, "status_code", None)
    match error:
        case sdk.ContentFilterError():
            text = "The AI provider refused this text. Its rules do not allow the topic."
            return "E-ANSWER-BLOCKED", text, False
        case sdk.ModelQuotaExceededError():
            text = "Your AI account has no credit left. Add credit there, or use another model."
            return "E-PROVIDER-CREDIT", text, False
        case sdk.ModelContextWindowExceededError():
            text = f"The text is too long for the model “{model}”. Shorten it first."
            return "E-TOO-LONG-IN", text, False
        case sdk.ModelNotFoundError():
            text = f"The AI provider does not know the model “{model}”. Choose another."
            return "E-PROVIDER-MODEL", text, False
        case sdk.ModelAuthenticationError():
            return _key()
        case sdk.ModelRateLimitError() | sdk.ModelOverloadedError():
            return "E-PROVIDER-BUSY", "The AI provider is busy. Try again later.", True
    return _by_status(status)


def _by_status(status: int | None) -> tuple[str, str, bool]:
    match status:
        case 401 | 403:
            return _key()
        case 402:
            text = "Your AI account has no credit left. Add credit there, or use another model."
            return "E-PROVIDER-CREDIT", text, False
        case 429:
            return "E-PROVIDER-BUSY", "The AI provider is busy. Try again later.", True
        case int() if 400 <= status < 500 and status not in (408, 409):
            text = f"The AI provider did not accept the question ({status}). Check the settings."
            return "E-PROVIDER-REFUSED", text, False
    text = "The AI provider does not answer, or stopped in the middle. This is on their side."
    return "E-PROVIDER-DOWN", text, True


def _key() -> tuple[str, str, bool]:
    text = "The AI provider rejected the key. It may be mistyped or turned off."
    return "E-PROVIDER-KEY", f"{text} Nothing was charged.", False
