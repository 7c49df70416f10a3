"""The tokens that models charge for the running attempt: counted for its budgets at once, for its agent when it settles."""

from __future__ import annotations

import structlog

from gatekeeper.errors import GatekeeperError
from gatekeeper.redact import describe
from gatekeeper.run.attempt import Attempt, current
from state.errors import StoreError

log = structlog.get_logger("gatehouse.gate")

#: One request costs less; more is a mistake.
MAX_TOKENS = 10**9


def spend(tokens: int, provider: str, *, estimated: int = 0) -> None:
    """Count tokens that a model charged for the running attempt; they count for its budgets from now on, however it ends.

    `clients.llm.fallback.ask` does this for its own requests. Call it after each request that you send yourself.

    Args:
        tokens: What the request cost, prompt and reply together.
        provider: Who charged them; the agent's metric is `tokens_PROVIDER`.
        estimated: Tokens that the provider did not report; they count for budgets only.

    Raises:
        GatekeeperError: The number is not a number of tokens.
        NoRunningTask: No task is running here.

    """
    if not (_is_number(tokens) and _is_number(estimated)):
        asked = f"spend({tokens!r}, {provider!r}" + (f", estimated={estimated!r})" if estimated != 0 else ")")
        raise GatekeeperError(f"{asked}: tokens are a whole number of at most {MAX_TOKENS:,}")
    attempt = current()
    if tokens:  # a metric of 0 would say that the provider reports them
        attempt.tokens[provider] = attempt.tokens.get(provider, 0) + tokens
    attempt.estimated_tokens += estimated
    count(attempt)


def _is_number(tokens: object) -> bool:
    return type(tokens) is int and 0 <= tokens <= MAX_TOKENS


def count(attempt: Attempt) -> None:
    """Count the attempt's tokens for its budgets, as far as that was not done; if Redis is away, the next time does it."""
    total = sum(attempt.tokens.values()) + attempt.estimated_tokens
    if not attempt.limits.budgets or total == attempt.counted_tokens:
        return
    try:
        used_up = attempt.ledger.spend(attempt.claim, attempt.call.task, attempt.limits, total)
    except StoreError as error:
        log.warning("tokens not counted", **attempt.call.log_fields(), tokens=total, error=describe(error))
        return
    attempt.counted_tokens = total
    for rule in used_up:
        attempt.append_event("budget used up", rule=rule)
        log.warning("budget used up", **attempt.call.log_fields(), rule=rule)
