"""Anthropic's Message Batches API: the requests go in one call, the results come as one stream.

https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from calibrate.batches.api import Line, Outcome, Page, Remote, Server
from calibrate.batches.reading import as_body, number, page_of, part, segment, text
from calibrate.completion import Request
from calibrate.providers import anthropic
from calibrate.providers.base import Call, json_object

__all__ = [
    "KEEPS_TAGS",
    "MOST_BYTES",
    "MOST_REQUESTS",
    "create",
    "line",
    "listing",
    "look",
    "page",
    "remote",
    "results",
    "row",
    "target",
    "upload",
    "uploaded",
]

MOST_REQUESTS, MOST_BYTES = 100_000, 256_000_000
KEEPS_TAGS = False
_PAGE = 100
_VERSION = "2023-06-01"
# Within a batch an error has no status of its own.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_COUNTS = ("succeeded", "errored", "canceled", "expired")


def row(request: Request, base_url: str, custom_id: str) -> bytes:
    call = anthropic.encode(request, base_url, None)
    return json.dumps({"custom_id": custom_id, "params": json.loads(call.body)}).encode()


def target(request: Request) -> str:
    return "/v1/messages"


def upload(server: Server, rows: Sequence[bytes], tag: str) -> Call | None:
    return None


def uploaded(body: bytes) -> str:
    return ""


def create(server: Server, rows: Sequence[bytes], tag: str, target: str, upload: str) -> Call:
    headers = {**_headers(server), "content-type": "application/json"}
    return Call(
        f"{server.base_url}/messages/batches", headers, b'{"requests":[' + b",".join(rows) + b"]}"
    )


def look(server: Server, remote: str) -> Call:
    return _get(server, f"/{segment(remote)}")


def remote(body: bytes) -> Remote:
    return _remote(json_object(body))


def listing(server: Server, after: str | None) -> Call:
    cursor = "" if after is None else f"&after_id={quote(after, safe='')}"
    return _get(server, f"?limit={_PAGE}{cursor}")


def page(body: bytes) -> Page:
    return page_of(json_object(body), _remote)


def results(server: Server, remote: Remote) -> list[Call]:
    """The address is not taken from `results_url`: the key would travel wherever that says."""
    return [_get(server, f"/{segment(remote.id)}/results")]


def line(value: Mapping[str, Any]) -> Line:
    custom_id, result = text(value, "custom_id"), part(value, "result")
    kind = result.get("type")
    if kind == "succeeded":
        return Line(custom_id, 200, as_body(result.get("message")))
    if kind == "errored":
        error = part(result, "error")
        inner = part(error, "error") or error
        return Line(custom_id, _STATUS.get(str(inner.get("type")), 500), as_body(error))
    return Line(custom_id, why="it was cancelled" if kind == "canceled" else "it expired")


def _headers(server: Server) -> dict[str, str]:
    key = {"x-api-key": server.api_key} if server.api_key else {}
    return {"anthropic-version": _VERSION, **key}


def _get(server: Server, path: str) -> Call:
    return Call(f"{server.base_url}/messages/batches{path}", _headers(server), b"", method="GET")


def _remote(value: Mapping[str, Any]) -> Remote:
    counts = part(value, "request_counts")
    done = sum(number(counts.get(name)) for name in _COUNTS)
    return Remote(
        id=text(value, "id"),
        outcome=_outcome(value, counts),
        total=done + number(counts.get("processing")) or None,
        done=done,
        created_at=_seconds(value.get("created_at")),
    )


def _outcome(value: Mapping[str, Any], counts: Mapping[str, Any]) -> Outcome:
    if value.get("processing_status") != "ended":
        return Outcome.RUNNING
    if number(counts.get("canceled")):
        return Outcome.CANCELLED
    return Outcome.EXPIRED if number(counts.get("expired")) else Outcome.COMPLETED


def _seconds(value: Any) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
