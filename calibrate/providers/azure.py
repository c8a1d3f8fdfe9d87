"""Azure OpenAI: OpenAI's bodies at a deployment's address, under a dated version of the API.

The model's `name` is the deployment's. The model parameter `api_version` is the API's date. A
`base_url` that ends in `/openai/v1` speaks the undated API, which also is of `kind: openai`.
https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from calibrate.completion import Request
from calibrate.providers.base import Call, json_bytes
from calibrate.providers.openai import body_of, decode

__all__ = ["DEFAULT_BASE_URL", "SUPPORTS_EMBEDDINGS", "SUPPORTS_LOGPROBS", "decode", "encode"]

DEFAULT_BASE_URL: str | None = None
SUPPORTS_EMBEDDINGS = True
SUPPORTS_LOGPROBS = True
_VERSION = "2024-10-21"  # the last dated one that is not a preview


def encode(request: Request, base_url: str, api_key: str | None) -> Call:
    headers = {"content-type": "application/json", **({"api-key": api_key} if api_key else {})}
    path = "chat/completions" if request.input is None else "embeddings"
    body = body_of(request, "max_completion_tokens")
    version = str(body.pop("api_version", _VERSION))
    if base_url.endswith("/openai/v1"):
        body["model"] = request.name
        return Call(f"{base_url}/{path}", headers, json_bytes(body))
    deployment = f"openai/deployments/{quote(request.name, safe='')}"
    query = urlencode({"api-version": version})
    url = f"{base_url.removesuffix('/openai')}/{deployment}/{path}?{query}"
    return Call(url, headers, json_bytes(body))
