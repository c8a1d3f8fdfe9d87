"""Google's Gemini API: generateContent and embedContent."""

from __future__ import annotations

from typing import Any

from loopback import Received, Response
from wire.api import HTML, KEY, Api, answer

__all__ = ["gemini"]

_FIELDS = {"contents", "systemInstruction", "generationConfig", "safetySettings", "tools"}
_CONFIG = {
    *("temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed"),
    *("responseMimeType", "responseJsonSchema", "responseLogprobs", "logprobs", "thinkingConfig"),
}


def content(*parts: dict[str, Any], usage: Any = None, **of_candidate: Any) -> Response:
    candidate = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": "STOP",
        "index": 0,
        **of_candidate,
    }
    return answer(
        {
            "candidates": [candidate],
            "usageMetadata": usage
            or {
                "promptTokenCount": 12,
                "candidatesTokenCount": 3,
                "totalTokenCount": 15,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
            },
            "modelVersion": "small-001",
            "responseId": "r1",
        }
    )


def failed(code: int, status: str, message: str, *details: Any, **headers: str) -> Response:
    error = {"code": code, "message": message, "status": status, "details": details}
    return answer({"error": error}, code, **headers)


def _refusal(received: Received) -> Response | None:
    model, _, method = received.path.removeprefix("/v1beta/models/").partition(":")
    body = received.body
    if received.headers.get("x-goog-api-key") != KEY:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return failed(400, "INVALID_ARGUMENT", "API key not valid.", reason)
    if method not in ("generateContent", "embedContent") or model == "missing":
        return failed(404, "NOT_FOUND", f"models/{model} is not found for API version v1beta")
    if method == "embedContent":
        return None
    for place, known, found in (
        ("root", _FIELDS, body),
        ("generation_config", _CONFIG, body.get("generationConfig", {})),
    ):
        for name in sorted(found.keys() - known):
            return failed(400, "INVALID_ARGUMENT", f"Unknown name \"{name}\" at '{place}'")
    if any(turn["role"] not in ("user", "model") for turn in body["contents"]):
        return failed(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")
    if model == "plain" and body["generationConfig"].get("responseLogprobs"):
        return failed(400, "INVALID_ARGUMENT", "Logprobs is not enabled for models/plain")
    return None


def _asked(received: Received) -> str:
    turn = received.body["content"] if "content" in received.body else received.body["contents"][-1]
    return str(turn["parts"][0]["text"])


def gemini() -> Api:
    thought = {
        "promptTokenCount": 2006,
        "candidatesTokenCount": 44,
        "thoughtsTokenCount": 256,
        "cachedContentTokenCount": 1920,
        "totalTokenCount": 2306,
    }
    chosen = {
        "chosenCandidates": [
            {"token": "ship", "tokenId": 1, "logProbability": -0.25},
            {"token": "ping", "tokenId": 2, "logProbability": -0.5},
        ],
        "topCandidates": [
            {
                "candidates": [
                    {"token": "ship", "tokenId": 1, "logProbability": -0.25},
                    {"token": "bill", "tokenId": 3, "logProbability": -1.75},
                ]
            },
            {"candidates": [{"token": "ping", "tokenId": 2, "logProbability": -0.5}]},
        ],
    }
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12},
        "modelVersion": "small-001",
    }
    answers = {
        "Where is it?": (content({"text": "shipping"}),),
        "with logprobs": (
            content({"text": "shipping"}, avgLogprobs=-0.375, logprobsResult=chosen),
        ),
        "think": (
            content(
                {"text": "Hmm.", "thought": True},
                {"text": "shipping", "thoughtSignature": "c2ln"},
                usage=thought,
            ),
        ),
        "all thought": (
            answer(
                {
                    "candidates": [
                        {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
                    ],
                    "usageMetadata": {
                        "promptTokenCount": 12,
                        "thoughtsTokenCount": 8,
                        "totalTokenCount": 20,
                    },
                    "modelVersion": "small-001",
                }
            ),
        ),
        "call": (content({"functionCall": {"name": "track", "args": {"id": 7}}}),),
        "unsafe": (
            answer(
                {
                    "candidates": [
                        {
                            "finishReason": "SAFETY",
                            "index": 0,
                            "safetyRatings": [{"category": "HARM", "probability": "HIGH"}],
                        }
                    ],
                    "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12},
                    "modelVersion": "small-001",
                }
            ),
        ),
        "recited": (content({"text": "ship"}, finishReason="RECITATION"),),
        "blocked": (answer(blocked),),
        "no candidates": (answer({"modelVersion": "small-001"}),),
        "no usage": (answer({"candidates": [{"content": {"parts": [{"text": "shipping"}]}}]}),),
        "too long": (
            failed(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1189235) exceeds the maximum number of tokens allowed "
                "(1048576).",
            ),
        ),
        "busy": (
            failed(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", retry_after="7"),
            content({"text": "shipping"}),
        ),
        "overloaded": (
            failed(503, "UNAVAILABLE", "The model is overloaded."),
            failed(500, "INTERNAL", "An internal error has occurred."),
            content({"text": "shipping"}),
        ),
        "slow": (
            failed(504, "DEADLINE_EXCEEDED", "Deadline expired"),
            content({"text": "shipping"}),
        ),
        "garbage": (HTML,),
        "embed": (answer({"embedding": {"values": [0.5, -2.0]}}),),
    }
    return Api("gemini", "/v1beta", _refusal, _asked, answers)
