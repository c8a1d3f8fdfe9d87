"""OpenAI's chat completions and embeddings, as OpenAI and seven other servers answer them."""

from __future__ import annotations

from typing import Any

from loopback import Received, Response
from wire.api import HTML, KEY, Api, answer

__all__ = ["azure", "deepseek", "litellm", "llama_cpp", "ollama", "openai", "openrouter", "vllm"]

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
_NO_KEY = {
    "message": "Incorrect API key provided",
    "type": "invalid_request_error",
    "param": None,
    "code": "invalid_api_key",
}
_NO_MODEL = {
    "message": "The model does not exist or you do not have access to it.",
    "type": "invalid_request_error",
    "param": None,
    "code": "model_not_found",
}
_OLD_LIMIT = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead.",
    "type": "invalid_request_error",
    "param": "max_tokens",
    "code": "unsupported_parameter",
}
_LOGPROBS = {
    "content": [
        {
            "token": "ship",
            "logprob": -0.25,
            "bytes": [115, 104, 105, 112],
            "top_logprobs": [
                {"token": "ship", "logprob": -0.25, "bytes": [115, 104, 105, 112]},
                {"token": "bill", "logprob": -1.75, "bytes": [98, 105, 108, 108]},
            ],
        },
        {"token": "ping", "logprob": -0.5, "bytes": [112, 105, 110, 103], "top_logprobs": []},
    ],
    "refusal": None,
}


def completion(
    content: Any = "shipping",
    *,
    finish: str = "stop",
    usage: Any = USAGE,
    logprobs: Any = None,
    model: str = "small-2026-01-01",
    of_choice: dict[str, Any] | None = None,
    **message: Any,
) -> dict[str, Any]:
    """Return a chat completion with one choice; `usage=None` leaves the usage out."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None, **message},
        "logprobs": logprobs,
        "finish_reason": finish,
        **(of_choice or {}),
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [choice],
        **({} if usage is None else {"usage": usage}),
        "system_fingerprint": "fp_1",
    }


def failed(status: int, message: str, code: str | None = None, **headers: str) -> Response:
    error = {"message": message, "type": "error", "param": None, "code": code}
    return answer({"error": error}, status, **headers)


def asked(received: Received) -> str:
    return received.asked


def _refusal(
    received: Received, header: str = "authorization", value: str = f"Bearer {KEY}"
) -> Response | None:
    if received.headers.get(header) != value:
        return answer({"error": _NO_KEY}, 401)
    if received.body.get("model") == "missing":
        return answer({"error": _NO_MODEL}, 404)
    if received.body.get("model") == "reasoner" and "max_tokens" in received.body:
        return answer({"error": _OLD_LIMIT}, 400)
    known = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stop"}
    known |= {"logprobs", "top_logprobs", "response_format", "tools", "reasoning_effort"}
    known |= {"input", "dimensions", "encoding_format"}
    unknown = sorted(received.body.keys() - known)
    if unknown:
        return failed(400, f"Unrecognized request argument supplied: {unknown[0]}")
    return None


def _compatible(path: str, answers: dict[str, tuple[Response, ...]]) -> Api:
    """Return a server that takes what OpenAI takes."""

    def refuse(received: Received) -> Response | None:
        if received.path not in (f"{path}/chat/completions", f"{path}/embeddings"):
            return failed(404, f"Invalid URL (POST {received.path})")
        return _refusal(received)

    return Api("openai", path, refuse, asked, {"Where is it?": (answer(completion()),), **answers})


def openai() -> Api:
    track = {"name": "track", "arguments": '{"id": 7}'}
    reasoned = {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {
            "cached_tokens": 1920,
            "cache_write_tokens": 64,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
    }
    return _compatible(
        "/v1",
        {
            "with logprobs": (answer(completion(logprobs=_LOGPROBS)),),
            "think": (answer(completion(usage=reasoned)),),
            "refuse": (answer(completion(None, refusal="I can't help with that.")),),
            "filter": (answer(completion(None, finish="content_filter")),),
            "call": (
                answer(
                    completion(
                        None,
                        finish="tool_calls",
                        tool_calls=[{"id": "call_1", "type": "function", "function": track}],
                    )
                ),
            ),
            "cut": (answer(completion("ship", finish="length")),),
            "too long": (
                failed(
                    400,
                    "This model's maximum context length is 8192 tokens. However, your messages "
                    "resulted in 9000 tokens. Please reduce the length of the messages.",
                    "context_length_exceeded",
                ),
            ),
            "busy": (
                failed(429, "Rate limit reached", "rate_limit_exceeded", retry_after="7"),
                answer(completion()),
            ),
            "broke": (failed(429, "You exceeded your current quota", "insufficient_quota"),),
            "down": (failed(500, "The server had an error"), HTML, answer(completion())),
            "garbage": (HTML,),
            "no choices": (answer({**completion(), "choices": []}),),
            "null content": (answer(completion(None)),),
            "embed": (
                answer(
                    {
                        "object": "list",
                        "model": "embedding-3",
                        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -2.0]}],
                        "usage": {"prompt_tokens": 5, "total_tokens": 5},
                    }
                ),
            ),
            "embed in base64": (
                answer(
                    {
                        "object": "list",
                        "model": "embedding-3",
                        # 0.5 is 0x3f000000, -2 is 0xc0000000, the lowest byte first
                        "data": [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAAMA="}],
                        "usage": {"prompt_tokens": 5, "total_tokens": 5},
                    }
                ),
            ),
        },
    )


def azure() -> Api:
    def refuse(received: Received) -> Response | None:
        path, _, query = received.path.partition("?")
        if query != "api-version=2024-10-21" or not path.startswith("/openai/deployments/"):
            return answer({"error": {"code": "404", "message": "Resource not found"}}, 404)
        if path != "/openai/deployments/small/chat/completions":
            missing = {"code": "DeploymentNotFound", "message": "The deployment does not exist."}
            return answer({"error": missing}, 404)
        if "model" in received.body:
            return failed(400, "Unrecognized request argument supplied: model")
        return _refusal(received, "api-key", KEY)

    filtered = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
        "management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
        },
    }
    judged = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
    answers = {
        "Where is it?": (
            answer(
                {
                    **completion(of_choice=judged),
                    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
                }
            ),
        ),
        "violence": (answer({"error": filtered}, 400),),
        "cut by the filter": (
            answer(completion("ship", finish="content_filter", of_choice=judged)),
        ),
    }
    return Api("azure", "", refuse, asked, answers)


def openrouter() -> Api:
    billed = {
        "prompt_tokens": 194,
        "completion_tokens": 20,
        "total_tokens": 214,
        "cost": 0.00095,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 16},
        "cost_details": {"upstream_inference_cost": None},
    }
    upstream = {
        "code": 502,
        "message": "Provider returned error",
        "metadata": {"provider_name": "One", "raw": "upstream connect error"},
    }
    broken_off = {"error": {"code": 503, "message": "Overloaded"}, "native_finish_reason": None}
    moderated = {
        "code": 403,
        "message": "Your input was flagged",
        "metadata": {"reasons": ["violence"], "flagged_input": "viol", "provider_name": "One"},
    }
    return _compatible(
        "/api/v1",
        {
            "billed": (
                answer(
                    completion(usage=billed, model="one/small", reasoning="Hmm.", finish="stop")
                ),
            ),
            "fails inside": (answer({"error": upstream, "user_id": "u"}), answer(completion())),
            "breaks off": (
                answer(completion("shi", finish="error", of_choice=broken_off)),
                answer(completion()),
            ),
            "violence": (answer({"error": moderated}, 403),),
            "no credit": (answer({"error": {"code": 402, "message": "Add credits"}}, 402),),
        },
    )


def vllm() -> Api:
    too_long = {
        "object": "error",
        "message": "This model's maximum context length is 2048 tokens. However, you requested "
        "3000 tokens in the messages, Please reduce the length of the messages.",
        "type": "BadRequestError",
        "param": None,
        "code": 400,
    }
    usage = {**USAGE, "prompt_tokens_details": None}
    return _compatible(
        "/v1",
        {
            "think": (answer(completion(usage=usage, reasoning_content="Hmm.", tool_calls=[])),),
            "too long": (answer(too_long, 400),),
        },
    )


def ollama() -> Api:
    return _compatible(
        "/v1",
        {
            # What it has in memory already it does not count.
            "known already": (
                answer(
                    completion(
                        usage={"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3},
                        model="small",
                    )
                ),
            ),
            "not pulled": (answer({"error": "model 'small' not found"}, 404),),
            "bad option": (answer({"error": "invalid options: n"}, 400),),
        },
    )


def litellm() -> Api:
    too_long = {
        "message": "litellm.ContextWindowExceededError: litellm.BadRequestError: "
        "AnthropicException - prompt is too long",
        "type": None,
        "param": None,
        "code": "400",
    }
    busy = {
        "message": "litellm.RateLimitError: No deployments available",
        "type": "None",
        "param": "None",
        "code": "429",
    }
    usage = {
        "prompt_tokens": 119,
        "completion_tokens": 3,
        "total_tokens": 122,
        "prompt_tokens_details": {"cached_tokens": 100, "text_tokens": None},
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 100,
    }
    return _compatible(
        "",
        {
            "cached": (answer(completion(usage=usage)),),
            "too long": (answer({"error": too_long}, 400),),
            "busy": (answer({"error": busy}, 429, retry_after="3"), answer(completion())),
        },
    )


def llama_cpp() -> Api:
    too_long = {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 3000,
        "n_ctx": 2048,
    }
    loading = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    no_embeddings = {
        "code": 501,
        "message": "This server does not support embeddings.",
        "type": "not_supported_error",
    }
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 9}}
    return _compatible(
        "/v1",
        {
            "timed": (
                answer(
                    {
                        **completion(usage=usage, logprobs=_LOGPROBS),
                        "timings": {"prompt_n": 3, "predicted_ms": 9.5},
                    }
                ),
            ),
            "no usage": (answer(completion(usage=None)),),
            "too long": (answer({"error": too_long}, 400),),
            "loading": (answer({"error": loading}, 503), answer(completion())),
            "embed": (answer({"error": no_embeddings}, 501),),
        },
    )


def deepseek() -> Api:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
        "completion_tokens_details": {"reasoning_tokens": 25},
    }
    return _compatible(
        "",
        {
            "cached": (answer(completion(usage=usage, reasoning_content="Hmm.")),),
            "out of capacity": (
                answer(completion("", finish="insufficient_system_resource")),
                answer(completion()),
            ),
            "poor": (failed(402, "Insufficient Balance", "invalid_request_error"),),
        },
    )
