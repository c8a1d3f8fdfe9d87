"""A server that speaks OpenAI's and Anthropic's batch APIs, on top of `Loopback`.

What a request gets is said by a function of its body: a status with a body, or the name of why
there is no answer (`expired`, `cancelled`), or None where nothing is said of it at all.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import Received, Response, anthropic_error, chat, error, messages

__all__ = ["BatchServer", "Out", "said", "says"]

Answer = Response | str | None
MOST = {"openai": (50_000, 200_000_000), "anthropic": (100_000, 256_000_000)}


def says(text: str) -> Callable[[dict[str, Any]], Answer]:
    """Every request is answered with one text, whichever API it is asked by."""
    return lambda body: said(body, text)


def said(body: dict[str, Any], text: str) -> Response:
    """One answer, in the words of the API that the body is for."""
    is_anthropic = "max_tokens" in body and "claude" in body["model"]
    return messages(text, model=body["model"]) if is_anthropic else chat(text, model=body["model"])


@dataclass
class Out:
    """A batch that was handed in."""

    id: str
    kind: str
    requests: list[tuple[str, dict[str, Any]]]  # custom id and body
    created_at: float
    metadata: dict[str, str] = field(default_factory=dict)
    looks: int = 0
    status: str = ""  # set by a test, in place of what comes of the answers

    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.requests]


@dataclass
class BatchServer:
    """The script of a `Loopback`. A batch has ended once it has been looked at `looks` times."""

    answer: Callable[[dict[str, Any]], Answer]
    looks: int = 2
    now: Callable[[], float] = lambda: 1_000.0
    fail: Callable[[Received], Response | None] = lambda _: None  # before anything is done
    lose: Callable[[Received], bool] = lambda _: False  # done, but the answer is lost
    files: dict[str, bytes] = field(default_factory=dict)
    out: list[Out] = field(default_factory=list)
    live: list[dict[str, Any]] = field(default_factory=list)  # asked directly
    replies: dict[tuple[str, str], Answer] = field(default_factory=dict)
    page: int = 2  # batches in one page of a list
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, received: Received) -> Response:
        with self._lock:
            failed = self.fail(received)
            if failed is not None:
                return failed
            response = self._done(received)
        return Response(is_dropped=True) if self.lose(received) else response

    def asked(self) -> list[str]:
        """Return the last message of every request that is in a batch, in their order."""
        return [b["messages"][-1]["content"] for out in self.out for b in out.bodies()]

    def _done(self, received: Received) -> Response:
        url = urlsplit(received.path)
        path = url.path.removeprefix("/v1")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if path in ("/chat/completions", "/messages"):
            self.live.append(received.body)
            found = self.answer(received.body)
            assert isinstance(found, Response)
            return found
        if path == "/files":
            return self._upload(received)
        if path == "/batches" and received.method == "POST":
            return self._create_openai(received)
        if path == "/messages/batches" and received.method == "POST":
            return self._create_anthropic(received)
        if path in ("/batches", "/messages/batches"):
            return self._list(path, query)
        file = re.fullmatch(r"/files/(file-[0-9]+)/content", path)
        if file:
            return Response(200, self.files[file[1]])
        found_batch = re.fullmatch(r"(?:/messages)?/batches/(\w+)(/results)?", path)
        out = next((o for o in self.out if found_batch and o.id == found_batch[1]), None)
        if out is None:
            return error(404, "No such batch")
        if found_batch is not None and found_batch[2]:
            return Response(200, self._results_anthropic(out))
        out.looks += 1
        return self._shown(out)

    def _upload(self, received: Received) -> Response:
        form = received.headers["content-type"].partition("boundary=")[2]
        parts = received.body.split(b"--" + form.encode())
        if b'name="purpose"\r\n\r\nbatch\r\n' not in parts[1] or parts[3] != b"--\r\n":
            return error(400, "not the form that a batch is uploaded with")
        name = f"file-{len(self.files)}"
        self.files[name] = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        return _json({"id": name, "object": "file", "purpose": "batch"})

    def _create_openai(self, received: Received) -> Response:
        rows = [
            json.loads(line) for line in self.files[received.body["input_file_id"]].splitlines()
        ]
        if received.body["completion_window"] != "24h":
            return error(400, "Invalid completion_window")
        if {row["url"] for row in rows} != {received.body["endpoint"]}:
            return error(400, "The URL of a request does not match the endpoint of the batch")
        requests = [(row["custom_id"], row["body"]) for row in rows]
        return self._created("openai", requests, received.body["metadata"])

    def _create_anthropic(self, received: Received) -> Response:
        if received.headers.get("anthropic-version") != "2023-06-01":
            return anthropic_error(400, "invalid_request_error", "anthropic-version: is required")
        rows = received.body["requests"]
        if not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", row["custom_id"]) for row in rows):
            return anthropic_error(400, "invalid_request_error", "custom_id: does not match")
        return self._created("anthropic", [(row["custom_id"], row["params"]) for row in rows], {})

    def _created(
        self, kind: str, requests: list[tuple[str, dict[str, Any]]], metadata: dict[str, str]
    ) -> Response:
        if len({name for name, _ in requests}) < len(requests) or len(requests) > MOST[kind][0]:
            return error(400, "the custom ids are not unique, or there are too many")
        if len({body["model"] for _, body in requests}) > 1 and kind == "openai":
            return error(400, "more than one model")
        # The list has them by name, and 9 is followed by 10.
        out = Out(f"batch{len(self.out):03}", kind, requests, self.now(), metadata)
        self.out.append(out)
        return self._shown(out)

    def _list(self, path: str, query: dict[str, str]) -> Response:
        kind = "openai" if path == "/batches" else "anthropic"
        found = [out for out in reversed(self.out) if out.kind == kind]
        after = query.get("after", query.get("after_id"))
        if after is not None:
            found = [out for out in found if out.id < after]
        data = [self._value(out) for out in found[: self.page]]
        return _json({"data": data, "has_more": len(found) > self.page})

    def _shown(self, out: Out) -> Response:
        return _json(self._value(out))

    def _reply(self, out: Out, name: str, body: dict[str, Any]) -> Answer:
        if (out.id, name) not in self.replies:
            self.replies[out.id, name] = self.answer(body)
        return self.replies[out.id, name]

    def _value(self, out: Out) -> dict[str, Any]:
        is_over = out.looks >= self.looks
        replies = [self._reply(out, *request) for request in out.requests] if is_over else []
        whole = sum(isinstance(reply, Response) and reply.status == 200 for reply in replies)
        if out.kind == "anthropic":
            names = {"expired": 0, "cancelled": 0}
            for reply in replies:
                if isinstance(reply, str):
                    names[reply] += 1
            return {
                "id": out.id,
                "type": "message_batch",
                "processing_status": "ended" if is_over else "in_progress",
                "request_counts": {
                    "processing": 0 if is_over else len(out.requests),
                    "succeeded": whole,
                    "errored": len(replies) - whole - sum(names.values()),
                    "canceled": names["cancelled"],
                    "expired": names["expired"],
                },
                "created_at": datetime.fromtimestamp(out.created_at, UTC).isoformat(),
                "results_url": "http://elsewhere.invalid/results" if is_over else None,
            }
        status = "in_progress" if not is_over else "completed"
        for name in ("expired", "cancelled"):
            status = name if name in replies else status
        files: dict[str, Any] = {"output_file_id": None, "error_file_id": None}
        if is_over:
            files = self._results_openai(out)
        return {
            "id": out.id,
            "object": "batch",
            "status": out.status or status,
            "created_at": int(out.created_at),
            "request_counts": {
                "total": len(out.requests) if out.looks else 0,
                "completed": whole,
                "failed": len(replies) - whole,
            },
            "metadata": out.metadata,
            "errors": {"object": "list", "data": [{"code": "x", "message": "line 1 is no JSON"}]}
            if out.status == "failed"
            else None,
            **files,
        }

    def _results_openai(self, out: Out) -> dict[str, Any]:
        """Write the files of results, last request first."""
        good, bad = [], []
        for name, body in reversed(out.requests):
            reply = self._reply(out, name, body)
            row: dict[str, Any] = {"id": f"req-{name}", "custom_id": name, "response": None}
            if isinstance(reply, Response):
                response = {"status_code": reply.status, "body": json.loads(reply.body)}
                (good if reply.status == 200 else bad).append({**row, "response": response})
            elif reply is not None:
                bad.append({**row, "error": {"code": f"batch_{reply}", "message": f"It {reply}."}})
        found = {}
        for kind, rows in (("output", good), ("error", bad)):
            file = f"file-{9000 + 2 * self.out.index(out) + (kind == 'error')}"
            self.files[file] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            found[f"{kind}_file_id"] = file if rows else None
        return found

    def _results_anthropic(self, out: Out) -> bytes:
        rows = []
        for name, body in reversed(out.requests):
            reply = self._reply(out, name, body)
            if isinstance(reply, Response):
                value = json.loads(reply.body)
                result = (
                    {"type": "succeeded", "message": value}
                    if reply.status == 200
                    else {"type": "errored", "error": value}
                )
            elif reply is None:
                continue
            else:
                result = {"type": "canceled" if reply == "cancelled" else reply}
            rows.append({"custom_id": name, "result": result})
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _json(value: Any) -> Response:
    return Response(200, json.dumps(value).encode(), {"content-type": "application/json"})
