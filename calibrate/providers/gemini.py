"""Google's Gemini API: generateContent and embedContent.

https://ai.google.dev/api/generate-content. Model parameters go into `generationConfig`, but for
those that stand beside it in the API (`safetySettings`, `tools`, …).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from calibrate.completion import (
    TOP_LOGPROBS,
    Completion,
    Reply,
    Request,
    TokenLogprob,
    Usage,
)
from calibrate.providers.base import Call, Malformed, json_bytes
from calibrate.providers.reading import (
    UNREADABLE,
    calls_text,
    count,
    label,
    logprob,
    read_reply,
    token,
    usage_of,
    vector,
)

__all__ = ["DEFAULT_BASE_URL", "SUPPORTS_EMBEDDINGS", "SUPPORTS_LOGPROBS", "decode", "encode"]

DEFAULT_BASE_URL: str | None = "https://generativelanguage.googleapis.com/v1beta"
SUPPORTS_EMBEDDINGS = True
SUPPORTS_LOGPROBS = True
_BESIDE = frozenset(
    ["cachedContent", "labels", "safetySettings", "serviceTier", "store", "toolConfig", "tools"]
)
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        [
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
            *("MODEL_ARMOR", "ESCALATION"),
        ],
        "content_filter",
    ),
}


def encode(request: Request, base_url: str, api_key: str | None) -> Call:
    name = request.name if "/" in request.name else f"models/{request.name}"
    method, body = (
        ("generateContent", _chat_body(request))
        if request.input is None
        else ("embedContent", _embedding_body(request, name))
    )
    headers = {"content-type": "application/json"}
    if api_key:
        headers["x-goog-api-key"] = api_key
    return Call(f"{base_url}/{quote(name)}:{method}", headers, json_bytes(body))


def decode(request: Request, status: int, body: bytes, latency_s: float) -> Reply:
    read = _answer if request.input is None else _embedding
    return read_reply(status, body, latency_s, lambda value: read(request, value, latency_s))


def _chat_body(request: Request) -> dict[str, Any]:
    parameters = dict(request.parameters)
    limit = parameters.pop("max_output_tokens", None)
    schema = parameters.pop("output_schema", None)
    stop = parameters.pop("stop", None)
    body = {name: parameters.pop(name) for name in _BESIDE & parameters.keys()}
    if limit is not None:
        parameters["maxOutputTokens"] = limit
    if stop is not None:
        parameters["stopSequences"] = stop
    if schema is not None:
        parameters |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    if request.logprobs:
        parameters |= {"responseLogprobs": True, "logprobs": TOP_LOGPROBS}
    system = [{"text": m.content} for m in request.messages if m.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    contents = [
        {"role": "model" if m.role == "assistant" else m.role, "parts": [{"text": m.content}]}
        for m in request.messages
        if m.role != "system"
    ]
    return {"contents": contents, "generationConfig": parameters, **body}


def _embedding_body(request: Request, name: str) -> dict[str, Any]:
    content = {"parts": [{"text": request.input}]}
    return {**request.parameters, "model": name, "content": content}


def _answer(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    """Read the first candidate; a prompt that is blocked has none, and is billed all the same."""
    candidate, finish = _candidate(value)
    text = _text(candidate)
    return Completion(
        text=text,
        finish="tool_calls" if finish == "stop" and _calls(candidate) else finish,
        logprobs=_logprobs(candidate.get("logprobsResult")),
        usage=_usage(value.get("usageMetadata"), request.texts, text),
        served_model=label(value.get("modelVersion"), request.name),
        latency_s=latency_s,
    )


def _candidate(value: dict[str, Any]) -> tuple[dict[str, Any], str]:
    candidates, feedback = value.get("candidates"), value.get("promptFeedback")
    if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
        why = label(candidates[0].get("finishReason"), "STOP")
        return candidates[0], _FINISH.get(why, why.lower())
    if not candidates and isinstance(feedback, dict) and feedback.get("blockReason"):
        return {}, "content_filter"
    raise Malformed("no candidates in the answer")


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a candidate consists of but for its thoughts; a blocked one has no content."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    parts = parts if isinstance(parts, list) else []
    return [part for part in parts if isinstance(part, dict) and not part.get("thought")]


def _calls(candidate: dict[str, Any]) -> list[tuple[str, Any]]:
    calls = (part.get("functionCall") for part in _parts(candidate))
    return [
        (call["name"], call.get("args", {}))
        for call in calls
        if isinstance(call, dict) and isinstance(call.get("name"), str)
    ]


def _text(candidate: dict[str, Any]) -> str:
    calls = _calls(candidate)
    if calls:
        return calls_text(calls)
    texts = (part.get("text") for part in _parts(candidate))
    return "".join(text for text in texts if isinstance(text, str))


def _embedding(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    embedding = value.get("embedding")
    return Completion(
        embedding=vector(embedding.get("values") if isinstance(embedding, dict) else None),
        finish="embedding",
        usage=_usage(value.get("usageMetadata"), request.texts, ""),
        served_model=label(value.get("modelVersion"), request.name),
        latency_s=latency_s,
    )


def _usage(usage: Any, asked: list[str], answered: str) -> Usage:
    """Add thoughts to the output, and what tools returned to the input: both are billed so.

    Google leaves a number out of the JSON where it is 0.
    """
    usage = usage if isinstance(usage, dict) else {}
    prompt, tools, answer, thoughts = (
        count(usage.get(name, 0))
        for name in (
            "promptTokenCount",
            "toolUsePromptTokenCount",
            "candidatesTokenCount",
            "thoughtsTokenCount",
        )
    )
    return usage_of(
        asked,
        answered,
        None if prompt is None or tools is None else prompt + tools,
        None if answer is None or thoughts is None else answer + thoughts,
        cached=count(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )


def _logprobs(result: Any) -> tuple[TokenLogprob, ...]:
    try:
        chosen, top = result["chosenCandidates"], result.get("topCandidates") or []
        likeliest = [place.get("candidates") or [] for place in top]
        likeliest += [[]] * (len(chosen) - len(likeliest))
        return tuple(
            TokenLogprob(*_token(one), tuple(map(_token, others)))
            for one, others in zip(chosen, likeliest, strict=True)
        )
    except UNREADABLE:
        return ()  # a signal that cannot be read is a signal that is not there


def _token(candidate: Any) -> tuple[str, float]:
    return token(candidate["token"]), logprob(candidate["logProbability"])
