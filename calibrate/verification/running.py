"""A running gateway, asked once for each route: does the model answer that the policy names?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from calibrate.client.keys import api_key, without_key
from calibrate.errors import ProviderError, UsageError
from calibrate.exporters import export_policy
from calibrate.exporters.naming import public_name
from calibrate.policy import Policy
from calibrate.verification.comparing import Dialect, Difference, compare, shown
from calibrate.verification.deployed import as_documents, difference

__all__ = ["ASKABLE", "verify_running"]

_LONGEST_BYTES = 1 << 20
_PATIENCE_S = 60.0
_TINY = {"messages": [{"role": "user", "content": "Say ok."}], "max_tokens": 1}
# Servers name the build that answered: `gpt-5-nano` is `gpt-5-nano-2025-08-07`.
_BUILD = re.compile(r"[-@](\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest)")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: Any  # None where it is no JSON


@dataclass(frozen=True, slots=True)
class _Due:
    """Who has to answer: the provider's name of the model, and the gateway's name of it."""

    model: str
    deployment: str | None = None


def verify_running(
    gateway: str,
    policy: Policy,
    url: str,
    *,
    key_env: str | None = None,
    config: str | None = None,
) -> list[Difference]:
    """Ask a gateway once for each route that it holds, and return what is not as the policy says.

    Each question costs a few tokens. LiteLLM also tells its models, with their limits, to a key
    that may see them; another gateway shows who answers, and no limits. `config` is what a client
    of Portkey sends along, with keys as `$NAME` put in from the environment. Raises `UsageError`
    for a gateway that cannot be asked, `ProviderError` where it cannot be reached or refuses the
    key.
    """
    if gateway not in ASKABLE:
        known = ", ".join(sorted(ASKABLE))
        raise UsageError(f"{gateway}: only {known} can be asked; verify its file with --config")
    document = as_documents("export", export_policy(gateway, policy).text)[0].value
    due = ASKABLE[gateway](policy, document)
    with _Gateway(url, api_key(gateway, key_env), _along(gateway, config)) as asked:
        held = _held(asked, policy, document) if gateway == "litellm" else ()
        return [*held, *_unlike(asked, policy, due)]


class _Gateway:
    """The way to a gateway; whatever it says, the key is blotted out."""

    def __init__(self, url: str, key: str | None, headers: Mapping[str, str]) -> None:
        self._base = _base(url)
        self._key = key
        sent = {} if key is None else {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(timeout=_PATIENCE_S, headers={**headers, **sent})

    def __enter__(self) -> _Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: Any = None) -> _Answer | None:
        """Return the answer, or None where none came in time."""
        try:
            with self._client.stream(method, f"{self._base}{path}", json=body) as response:
                raw = b""
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > _LONGEST_BYTES:
                        break
                return _Answer(response.status_code, response.headers, self._parsed(raw))
        except httpx.ReadTimeout:
            return None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            text = without_key(str(error).encode(), self._key).decode()
            raise ProviderError(f"{self._base}: cannot be asked: {text}") from None

    def _parsed(self, raw: bytes) -> Any:
        try:
            return json.loads(without_key(raw, self._key))
        except (ValueError, RecursionError):
            return None


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.username is not None or parts.query or parts.fragment:
        raise UsageError("--url: expected a plain http(s) address, such as http://127.0.0.1:4000")
    return url.rstrip("/").removesuffix("/v1")


def _along(gateway: str, config: str | None) -> dict[str, str]:
    """Return the headers that bring a config along; its keys come from the environment."""
    if gateway != "portkey":
        return {}
    if config is None:
        raise UsageError("portkey keeps no routes: name the config that clients send by --config")
    document = as_documents("--config", config)[0].value
    return {"x-portkey-config": json.dumps(_filled(document))}


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: api_key("portkey", item[1:]) if _is_reference(key, item) else _filled(item)
            for key, item in value.items()
            if key != "_notes"
        }
    return [_filled(item) for item in value] if isinstance(value, list) else value


def _is_reference(key: str, item: Any) -> bool:
    return key == "api_key" and isinstance(item, str) and item.startswith("$")


def _unlike(asked: _Gateway, policy: Policy, due: Mapping[str, _Due]) -> Iterator[Difference]:
    for workflow in sorted(policy.workflows):
        name = public_name(workflow)
        if name is None or name not in due:
            continue  # the export has left it out, and says so
        answer = asked.ask("POST", "/v1/chat/completions", {"model": name, **_TINY})
        text = _wrong(answer, due[name])
        if text is not None:
            yield Difference(workflow, "answer", "", text)


def _wrong(answer: _Answer | None, due: _Due) -> str | None:
    """Return what is wrong with an answer; raises where the gateway does not know the client."""
    if answer is None:
        return f"no answer within {_PATIENCE_S:g} s; due is {due.model}"
    if answer.status in (401, 403):
        raise ProviderError(
            f"the gateway refuses the key (HTTP {answer.status}): {_message(answer.body)}; "
            "name the variable that holds it by --key-env"
        )
    if answer.status != 200:
        return f"HTTP {answer.status}: {_message(answer.body)}; due is {due.model}"
    deployment = answer.headers.get("x-litellm-model-id")
    if due.deployment is not None and deployment is not None:
        wrong = None if deployment == due.deployment else deployment
        return wrong and f"answered by {shown(wrong)}; due is {shown(due.deployment)}"
    model = answer.body.get("model") if isinstance(answer.body, dict) else None
    if not isinstance(model, str):
        return f"the answer names no model; due is {due.model}"
    if model == due.model or _BUILD.fullmatch(model.removeprefix(due.model)):
        return None
    return f"answered by {shown(model)}; due is {shown(due.model)}"


def _message(body: Any) -> str:
    found = body.get("error") if isinstance(body, dict) else None
    message = found.get("message") if isinstance(found, dict) else found
    return shown(message) if isinstance(message, str) else "no message"


def _held(asked: _Gateway, policy: Policy, document: Any) -> Iterator[Difference]:
    """Yield what LiteLLM holds otherwise than the export, as far as it tells the key."""
    answer = asked.ask("GET", "/v1/model/info")
    rows = answer.body.get("data") if answer and isinstance(answer.body, dict) else None
    if answer is None or answer.status != 200 or not isinstance(rows, list):
        return
    due = [_told(deployment) for deployment in document["model_list"]]
    held = [_alike(row, due) for row in rows if isinstance(row, dict)]
    dialect = Dialect(open=frozenset({"model_list"}), unordered=frozenset({"model_list"}))
    for found in compare({"model_list": due}, {"model_list": held}, dialect):
        yield difference(found, policy)


def _told(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a deployment LiteLLM tells: never the key."""
    params = {k: v for k, v in deployment["litellm_params"].items() if k != "api_key"}
    return {**deployment, "litellm_params": params}


def _alike(row: dict[str, Any], due: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row without what LiteLLM adds to it by itself."""
    info = row.get("model_info")
    own = info.get("id") if isinstance(info, dict) else None
    for one in due:
        if one["model_info"]["id"] == own:
            return {key: _only(row.get(key), part) for key, part in one.items()}
    return {"model_name": row.get("model_name"), "model_info": {"id": str(own)}}


def _only(value: Any, like: Any) -> Any:
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: value[key] for key in like if key in value}
    return value


def _of_litellm(policy: Policy, document: Any) -> dict[str, _Due]:
    return {
        entry["model_name"]: _Due(
            entry["litellm_params"]["model"].partition("/")[2], entry["model_info"]["id"]
        )
        for entry in document["model_list"]
        if entry["litellm_params"]["order"] == 1
    }


def _of_envoy(policy: Policy, document: Any) -> dict[str, _Due]:
    models = {public_name(alias): model.name for alias, model in policy.models.items()}
    found: dict[str, _Due] = {}
    for cluster in document["static_resources"]["clusters"]:
        kind, _, name = cluster["name"].partition("/")
        if kind == "chain":
            first = cluster["cluster_type"]["typed_config"]["clusters"][0]
            found[name] = _Due(models[first.partition("/")[2]])
    return found


def _of_portkey(policy: Policy, document: Any) -> dict[str, _Due]:
    return {
        route["name"]: _Due(route["targets"][0]["override_params"]["model"])
        for route in document["targets"]
    }


# Those whose routes are asked for by name, and whose answers tell the model.
ASKABLE: dict[str, Callable[[Policy, Any], Mapping[str, _Due]]] = {
    "litellm": _of_litellm,
    "envoy": _of_envoy,
    "portkey": _of_portkey,
}
