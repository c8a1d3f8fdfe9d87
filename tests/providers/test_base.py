from __future__ import annotations

import json

import pytest

from calibrate.completion import FailureReason
from calibrate.providers.base import bounded, error_message, failure_for_status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (201, FailureReason.REJECTED),
        (301, FailureReason.UNREACHABLE),
        (307, FailureReason.UNREACHABLE),
        (400, FailureReason.REJECTED),
        (401, FailureReason.UNAUTHORISED),
        (402, FailureReason.UNAUTHORISED),
        (403, FailureReason.UNAUTHORISED),
        (404, FailureReason.NO_SUCH_MODEL),
        (408, FailureReason.TIMEOUT),
        (413, FailureReason.REJECTED),
        (422, FailureReason.REJECTED),
        (429, FailureReason.RATE_LIMITED),
        (500, FailureReason.SERVER_ERROR),
        (502, FailureReason.SERVER_ERROR),
        (503, FailureReason.SERVER_ERROR),
        (504, FailureReason.TIMEOUT),
        (529, FailureReason.SERVER_ERROR),
    ],
)
def test_a_status_stands_for_one_reason(status: int, reason: FailureReason) -> None:
    found = failure_for_status(status, b"{}", 0.5)
    assert (found.reason, found.status, found.latency_s) == (reason, status, 0.5)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        # OpenAI
        (
            400,
            {"message": "maximum context length is 8192", "code": "context_length_exceeded"},
            FailureReason.CONTEXT_LENGTH,
        ),
        (
            429,
            {"message": "You exceeded your current quota", "code": "insufficient_quota"},
            FailureReason.UNAUTHORISED,
        ),
        # Azure
        (
            400,
            {"message": "The response was filtered", "code": "content_filter"},
            FailureReason.CONTENT_FILTER,
        ),
        # llama.cpp
        (
            400,
            {"message": "the request exceeds the available context size, try increasing it"},
            FailureReason.CONTEXT_LENGTH,
        ),
    ],
)
def test_errors_that_share_a_status_are_told_apart_by_what_they_say(
    status: int, error: dict[str, str], reason: FailureReason
) -> None:
    assert failure_for_status(status, json.dumps({"error": error}).encode(), 0).reason is reason


def test_a_redirect_says_what_to_mend() -> None:
    found = failure_for_status(302, b"", 0)
    assert found.message == "HTTP 302: redirects are not followed; mend base_url"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "no\\n such  model"}}', "no such model"),
        (b'{"error": "model not found"}', "model not found"),
        (b'{"error": {"code": 5}}', '{"error": {"code": 5}}'),
        (b'{"detail": "not found"}', '{"detail": "not found"}'),
        (b"<html>\n<h1>502</h1>\n</html>", "<html> <h1>502</h1> </html>"),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"", ""),
    ],
)
def test_an_error_body_is_one_line_of_what_it_says(body: bytes, text: str) -> None:
    assert error_message(body) == text


def test_foreign_words_are_short_and_move_no_cursor() -> None:
    assert bounded("a\x1b[2Jb\x07c\N{RIGHT-TO-LEFT OVERRIDE}d") == "a [2Jb c d"
    assert bounded("x" * 301) == "x" * 299 + "…"
    assert bounded("x" * 300) == "x" * 300
