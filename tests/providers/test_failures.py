from __future__ import annotations

import json
from typing import Any

import pytest

from calibrate.completion import Failure, FailureReason
from calibrate.providers.failures import failure_for_status, failure_in_answer


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
        (501, FailureReason.REJECTED),
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
        (
            400,
            {"message": "Your account is not active", "code": "billing_not_active"},
            FailureReason.UNAUTHORISED,
        ),
        (
            400,
            {"message": "Invalid prompt: flagged as potentially violating our usage policy"},
            FailureReason.CONTENT_FILTER,
        ),
        (429, {"code": "insufficient_quota"}, FailureReason.UNAUTHORISED),
        # A gateway that keeps only the words
        (429, {"message": "OpenAIException: insufficient_quota"}, FailureReason.UNAUTHORISED),
        (
            400,
            {"message": "litellm.ContextWindowExceededError: too many", "code": "400"},
            FailureReason.CONTEXT_LENGTH,
        ),
        (
            400,
            {"message": "litellm.ContentPolicyViolationError: no", "code": "400"},
            FailureReason.CONTENT_FILTER,
        ),
        # Azure
        (
            400,
            {"message": "The response was filtered", "code": "content_filter"},
            FailureReason.CONTENT_FILTER,
        ),
        (
            400,
            {"message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
            FailureReason.CONTENT_FILTER,
        ),
        # Google
        (
            400,
            {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.ErrorInfo"},
                    {"reason": "API_KEY_INVALID", "domain": "googleapis.com"},
                ],
            },
            FailureReason.UNAUTHORISED,
        ),
        (
            400,
            {"message": "The input token count (9) exceeds the maximum number of tokens (8)."},
            FailureReason.CONTEXT_LENGTH,
        ),
        # OpenRouter's moderation: about one prompt, not about the key
        (
            403,
            {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}},
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
    status: int, error: dict[str, Any], reason: FailureReason
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
        (b'{"detail": "not found"}', "not found"),
        (b'{"detail": [{"msg": "required"}]}', '{"detail": [{"msg": "required"}]}'),
        # vLLM, without an envelope
        (b'{"object": "error", "message": "no such model", "code": 404}', "no such model"),
        # Google's OpenAI-compatible endpoint
        (b'[{"error": {"code": 400, "message": "bad"}}]', "bad"),
        (b"[1, 2]", "[1, 2]"),
        # OpenRouter, and what the provider behind it said
        (
            b'{"error": {"message": "Provider returned error", "metadata": {"raw": "full"}}}',
            "Provider returned error: full",
        ),
        (b'{"error": "rate_limited", "message": "slow down"}', "rate_limited: slow down"),
        (b"[" * 50_000, "[" * 299 + "…"),
        (b"<html>\n<h1>502</h1>\n</html>", "<html> <h1>502</h1> </html>"),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"", ""),
    ],
)
def test_an_error_body_is_one_line_of_what_it_says(body: bytes, text: str) -> None:
    assert failure_for_status(400, body, 0.0).message == f"HTTP 400: {text}"


@pytest.mark.parametrize(
    "words",
    [
        "input: 'insufficient_quota' is no label",
        "invalid text 'Your credit balance is too low'",
        "value 'authentication_error' is not one of the labels",
    ],
)
def test_a_prompt_that_an_error_quotes_does_not_make_the_model_unusable(words: str) -> None:
    body = json.dumps({"error": {"message": words, "input": "insufficient_quota"}}).encode()
    assert failure_for_status(400, body, 0).reason is FailureReason.REJECTED


@pytest.mark.parametrize(
    ("status", "words", "advice"),
    [
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "give the model `parameters: {output_limit: max_completion_tokens}`",
        ),
        (
            400,
            "Unrecognized request argument supplied: max_completion_tokens",
            "give the model `parameters: {output_limit: max_tokens}`",
        ),
        (
            400,
            "Logprobs is not enabled for models/gemini-2.5-pro",
            "give the model `parameters: {logprobs: false}`",
        ),
        (
            403,
            "You are not allowed to request logprobs from this model.",
            "give the model `parameters: {logprobs: false}`",
        ),
    ],
)
def test_a_parameter_that_a_server_does_not_take_comes_with_advice(
    status: int, words: str, advice: str
) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert failure_for_status(status, body, 0).message == f"HTTP {status}: {words}; {advice}"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "max_tokens is too large: 100000"),
        (500, "Logprobs is not enabled for models/gemini-2.5-pro"),
    ],
)
def test_other_errors_come_without_advice(status: int, words: str) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert failure_for_status(status, body, 0).message == f"HTTP {status}: {words}"


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (
            {"code": 502, "message": "Provider returned error"},
            FailureReason.SERVER_ERROR,
            "HTTP 200 with error 502: Provider returned error",
        ),
        (
            {"code": 429, "message": "slow down"},
            FailureReason.RATE_LIMITED,
            "HTTP 200 with error 429: slow down",
        ),
        (
            {"code": "401", "message": "no key"},
            FailureReason.UNAUTHORISED,
            "HTTP 200 with error 401: no key",
        ),
        (
            {"code": "content_filter", "message": "filtered"},
            FailureReason.CONTENT_FILTER,
            "HTTP 200 with an error: filtered",
        ),
        ("out of memory", FailureReason.SERVER_ERROR, "HTTP 200 with an error: out of memory"),
        ({"code": 200}, FailureReason.SERVER_ERROR, 'HTTP 200 with an error: {"code": 200}'),
        ({"code": True}, FailureReason.SERVER_ERROR, 'HTTP 200 with an error: {"code": true}'),
        (True, FailureReason.SERVER_ERROR, "HTTP 200 with an error: true"),
    ],
)
def test_an_error_in_an_answer_has_a_status_of_its_own_or_is_the_servers(
    error: Any, reason: FailureReason, message: str
) -> None:
    assert failure_in_answer({"error": error}, 0.5) == Failure(reason, message, 0.5, 200)
