"""OpenAI's Batch API: a file of requests goes up, files of results come down.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from calibrate.batches.api import Line, Outcome, Page, Remote, Server
from calibrate.batches.reading import as_body, number, page_of, part, segment, text
from calibrate.completion import Request
from calibrate.providers import openai
from calibrate.providers.base import Call, bounded, json_object

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

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
KEEPS_TAGS = True
_PAGE = 100
_OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "expired": Outcome.EXPIRED,
    "cancelled": Outcome.CANCELLED,
    "failed": Outcome.REFUSED,
}


def row(request: Request, base_url: str, custom_id: str) -> bytes:
    call = openai.encode(request, base_url, None)
    asked = {"custom_id": custom_id, "method": "POST", "url": target(request)}
    return json.dumps({**asked, "body": json.loads(call.body)}).encode()


def target(request: Request) -> str:
    return "/v1/chat/completions" if request.input is None else "/v1/embeddings"


def upload(server: Server, rows: Sequence[bytes], tag: str) -> Call | None:
    # The tag is of chance and in every custom_id, but no text holds the line that parts the form.
    boundary = f"calibrate-{tag}-boundary"
    purpose = f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    file = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; '
        f'filename="calibrate-{tag}.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n'
    )
    body = b"".join([purpose.encode(), file.encode(), b"\n".join(rows), b"\n\r\n"])
    return Call(
        f"{server.base_url}/files",
        {**_headers(server), "content-type": f"multipart/form-data; boundary={boundary}"},
        body + f"--{boundary}--\r\n".encode(),
    )


def uploaded(body: bytes) -> str:
    return text(json_object(body), "id")


def create(server: Server, rows: Sequence[bytes], tag: str, target: str, upload: str) -> Call:
    asked = {
        "input_file_id": upload,
        "endpoint": target,
        "completion_window": "24h",
        "metadata": {"calibrate": tag},
    }
    headers = {**_headers(server), "content-type": "application/json"}
    return Call(f"{server.base_url}/batches", headers, json.dumps(asked).encode())


def look(server: Server, remote: str) -> Call:
    return _get(server, f"batches/{segment(remote)}")


def remote(body: bytes) -> Remote:
    return _remote(json_object(body))


def listing(server: Server, after: str | None) -> Call:
    cursor = "" if after is None else f"&after={quote(after, safe='')}"
    return _get(server, f"batches?limit={_PAGE}{cursor}")


def page(body: bytes) -> Page:
    return page_of(json_object(body), _remote)


def results(server: Server, remote: Remote) -> list[Call]:
    return [_get(server, f"files/{segment(file)}/content") for file in remote.files]


def line(value: Mapping[str, Any]) -> Line:
    custom_id, response = text(value, "custom_id"), part(value, "response")
    if response:
        status = number(response.get("status_code"))
        return Line(custom_id, status, as_body(response.get("body")))
    error = part(value, "error")
    return Line(
        custom_id, why=bounded(str(error.get("message") or error.get("code") or "no answer"))
    )


def _headers(server: Server) -> dict[str, str]:
    return {"authorization": f"Bearer {server.api_key}"} if server.api_key else {}


def _get(server: Server, path: str) -> Call:
    return Call(f"{server.base_url}/{path}", _headers(server), b"", method="GET")


def _remote(value: Mapping[str, Any]) -> Remote:
    counts = part(value, "request_counts")
    tag = part(value, "metadata").get("calibrate")
    files = (value.get("output_file_id"), value.get("error_file_id"))
    errors = part(value, "errors").get("data")
    errors = errors if isinstance(errors, list) else []
    said = [row.get("message") for row in errors if isinstance(row, dict)]
    return Remote(
        id=text(value, "id"),
        outcome=_OUTCOMES.get(str(value.get("status")), Outcome.RUNNING),
        total=number(counts.get("total")) or None,  # it is 0 until the file has been read
        done=number(counts.get("completed")) + number(counts.get("failed")),
        created_at=float(number(value.get("created_at"))),
        tag=tag if isinstance(tag, str) else None,
        files=tuple(file for file in files if isinstance(file, str) and file),
        why=bounded("; ".join(dict.fromkeys(map(str, said)))),
    )
