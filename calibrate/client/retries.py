"""Which failures are asked again, how often, and after what wait."""

from __future__ import annotations

import random
from collections.abc import Sequence

from calibrate.completion import Failure, FailureReason

__all__ = ["ATTEMPTS", "FATAL", "wait_s"]

FIRST_WAIT_S, MAX_WAIT_S = 0.5, 60.0
# Only what is named here is asked again, and never because of what an answer says. A limit a
# minute must have time to pass, and a refusal costs nothing; the others may have been paid for.
ATTEMPTS = {
    FailureReason.RATE_LIMITED: 9,
    FailureReason.SERVER_ERROR: 5,
    FailureReason.TIMEOUT: 3,
    FailureReason.BAD_RESPONSE: 3,
    FailureReason.UNREACHABLE: 3,
}
# Nothing about one case: every other request to this model would fail in the same way.
FATAL = frozenset(
    {FailureReason.UNREACHABLE, FailureReason.UNAUTHORISED, FailureReason.NO_SUCH_MODEL}
)


def wait_s(failures: Sequence[Failure]) -> float | None:
    """Return the wait after the last of these failures of one request; None: it was for good.

    Each kind of failure is counted for itself, so that a few refusals do not use up what a broken
    connection needs. The wait doubles each time; chance takes up to half of it away, so that
    requests which failed together do not come back together.
    """
    reason = failures[-1].reason
    times = sum(failure.reason is reason for failure in failures)
    if times >= ATTEMPTS.get(reason, 1):
        return None
    longest = min(FIRST_WAIT_S * 2.0 ** (times - 1), MAX_WAIT_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - it only spreads requests
