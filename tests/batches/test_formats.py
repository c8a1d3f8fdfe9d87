"""What is sent to the batch APIs to the byte, and what is made of answers that are odd."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from calibrate.batches import anthropic, openai
from calibrate.batches.api import Line, Outcome, Remote, Server
from calibrate.batches.prices import price_from_json
from calibrate.batches.reading import lines
from calibrate.completion import ChatMessage, Request
from calibrate.policy.records import plain
from calibrate.pricing import SteppedPrice, TokenPrice, policy_price
from calibrate.providers.base import Malformed

SERVER = Server("https://api.example/v1", "sk-secret-0123456789")
CHAT = Request("openai", "gpt", (ChatMessage("user", "é"),), parameters={"max_output_tokens": 4})


def test_a_row_is_the_body_of_the_live_call_with_its_place() -> None:
    assert json.loads(openai.row(CHAT, "https://api.openai.com/v1", "t-0")) == {
        "custom_id": "t-0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt",
            "messages": [{"role": "user", "content": "é"}],
            "max_completion_tokens": 4,
        },
    }


def test_texts_to_embed_go_to_their_own_endpoint() -> None:
    row = json.loads(openai.row(Request("openai", "e", input="a"), "http://x/v1", "t-0"))
    assert (row["url"], row["body"]) == ("/v1/embeddings", {"model": "e", "input": "a"})


def test_a_file_of_requests_is_uploaded_as_a_form() -> None:
    call = openai.upload(SERVER, [b"{1}", b"{2}"], "t")
    assert call is not None
    assert call.url == "https://api.example/v1/files"
    assert dict(call.headers) == {
        "authorization": "Bearer sk-secret-0123456789",
        "content-type": "multipart/form-data; boundary=calibrate-t-boundary",
    }
    assert call.body == (
        b"--calibrate-t-boundary\r\n"
        b'content-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b"--calibrate-t-boundary\r\n"
        b'content-disposition: form-data; name="file"; filename="calibrate-t.jsonl"\r\n'
        b"content-type: application/jsonl\r\n\r\n{1}\n{2}\n\r\n"
        b"--calibrate-t-boundary--\r\n"
    )


def test_messages_are_handed_in_with_their_requests() -> None:
    request = Request("anthropic", "claude", (ChatMessage("user", "a"),))
    row = anthropic.row(request, SERVER.base_url, "t-0")
    assert (anthropic.upload(SERVER, [row, row], "t"), anthropic.uploaded(b"")) == (None, "")
    call = anthropic.create(SERVER, [row, row], "t", anthropic.target(request), "")
    assert call.url == "https://api.example/v1/messages/batches"
    assert dict(call.headers) == {
        "x-api-key": "sk-secret-0123456789",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    params = {
        "model": "claude",
        "max_tokens": None,
        "messages": [{"role": "user", "content": "a"}],
    }
    assert json.loads(call.body) == {"requests": [{"custom_id": "t-0", "params": params}] * 2}


def test_no_key_is_shown() -> None:
    call = openai.look(SERVER, "batch")
    assert "secret" not in f"{SERVER!r}{call!r}"


@pytest.mark.parametrize("name", ["../../evil", "a/b?c=d#e", "..", "@host"])
def test_a_servers_name_leads_nowhere_else(name: str) -> None:
    for api, folder in ((openai, "batches"), (anthropic, "messages/batches")):
        start = f"{SERVER.base_url}/{folder}/"
        assert api.look(SERVER, name).url.startswith(start)
        assert set("/?#@.").isdisjoint(api.look(SERVER, name).url.removeprefix(start))
    remote = Remote("b", Outcome.COMPLETED, 1, 1, 0.0, files=(name,))
    (call,) = openai.results(SERVER, remote)
    assert call.url.startswith(f"{SERVER.base_url}/files/")
    assert call.url.count("/") == SERVER.base_url.count("/") + 3


def test_the_address_of_results_is_not_the_servers_to_say() -> None:
    body = {
        "id": "b",
        "processing_status": "ended",
        "request_counts": {"succeeded": 1},
        "results_url": "https://evil.example/take-the-key",
    }
    remote = anthropic.remote(json.dumps(body).encode())
    (call,) = anthropic.results(SERVER, remote)
    assert call.url == "https://api.example/v1/messages/batches/b/results"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("validating", Outcome.RUNNING),
        ("in_progress", Outcome.RUNNING),
        ("finalizing", Outcome.RUNNING),
        ("cancelling", Outcome.RUNNING),
        ("completed", Outcome.COMPLETED),
        ("expired", Outcome.EXPIRED),
        ("cancelled", Outcome.CANCELLED),
        ("failed", Outcome.REFUSED),
        (None, Outcome.RUNNING),
        ({}, Outcome.RUNNING),
    ],
)
def test_every_status_of_openai_has_its_outcome(status: Any, outcome: Outcome) -> None:
    assert openai.remote(json.dumps({"id": "b", "status": status}).encode()).outcome is outcome


@pytest.mark.parametrize(
    ("status", "counts", "outcome"),
    [
        ("in_progress", {"processing": 3}, Outcome.RUNNING),
        ("canceling", {"processing": 3}, Outcome.RUNNING),
        ("ended", {"succeeded": 3}, Outcome.COMPLETED),
        ("ended", {"succeeded": 2, "expired": 1}, Outcome.EXPIRED),
        ("ended", {"expired": 2, "canceled": 1}, Outcome.CANCELLED),
        ("ended", None, Outcome.COMPLETED),
    ],
)
def test_every_status_of_anthropic_has_its_outcome(
    status: str, counts: Any, outcome: Outcome
) -> None:
    body = {"id": "b", "processing_status": status, "request_counts": counts}
    remote = anthropic.remote(json.dumps(body).encode())
    assert remote.outcome is outcome
    assert remote.total == (3 if counts else None)


@pytest.mark.parametrize("at", [None, 5, "soon", "0001-01-01T00:00:00", "2026-13-01"])
def test_a_date_that_is_none_says_nothing(at: Any) -> None:
    body = json.dumps({"id": "b", "created_at": at}).encode()
    assert anthropic.remote(body).created_at == 0.0


def test_dates_are_seconds_since_1970() -> None:
    date = json.dumps({"id": "b", "created_at": "1970-01-02T00:00:00Z"}).encode()
    assert anthropic.remote(date).created_at == 86_400.0
    assert openai.remote(b'{"id": "b", "created_at": 86400}').created_at == 86_400.0


@pytest.mark.parametrize(
    "errors", [None, {}, {"data": None}, {"data": {"a": 1}}, {"data": 5}, {"data": ["a", 1]}, []]
)
def test_errors_of_another_form_say_nothing(errors: Any) -> None:
    body = {"id": "b", "status": "failed", "errors": errors}
    assert openai.remote(json.dumps(body).encode()).why == ""


def test_what_a_refusal_says_is_one_printable_line() -> None:
    errors = [{"message": "line 1:\n\x1b[31mred"}, {"message": "again"}, {"message": "again"}]
    body = {"id": "b", "status": "failed", "errors": {"data": errors}}
    assert openai.remote(json.dumps(body).encode()).why == "line 1: [31mred; again"


@pytest.mark.parametrize("name", [None, "", 5, "\x1b[31m", "x" * 201])
def test_a_name_that_is_none_is_no_batch(name: Any) -> None:
    for api in (openai, anthropic):
        with pytest.raises(Malformed):
            api.remote(json.dumps({"id": name}).encode())


def test_a_page_goes_on_only_where_there_is_more() -> None:
    for api in (openai, anthropic):
        more = {"data": [{"id": "b"}, "no batch"], "has_more": True}
        assert api.page(json.dumps(more).encode()).after == "b"
        assert api.page(json.dumps({**more, "has_more": False}).encode()).after is None
        assert api.page(b'{"data": [], "has_more": true}').after is None
        with pytest.raises(Malformed):
            api.page(b'{"data": 5}')
    assert openai.listing(SERVER, "b&c").url.endswith("/batches?limit=100&after=b%26c")
    assert anthropic.listing(SERVER, "b").url.endswith("/batches?limit=100&after_id=b")


def test_lines_of_results_that_are_none_are_passed_over() -> None:
    deep = b"[" * 100_000
    assert list(lines(b'{"a": 1}\n\nnonsense\n\xff\n5\n' + deep + b'\r\n{"b": 2}')) == [
        {"a": 1},
        {"b": 2},
    ]


def test_a_result_of_openai_is_an_answer_an_error_or_neither() -> None:
    response = {"status_code": 400, "body": {"error": {"message": "no"}}}
    found = openai.line({"custom_id": "t-1", "response": response, "error": None})
    assert found == Line("t-1", 400, b'{"error": {"message": "no"}}')
    for error, why in (
        ({"code": "batch_expired", "message": "too late"}, "too late"),
        ({"code": "batch_expired"}, "batch_expired"),
        (None, "no answer"),
    ):
        assert openai.line({"custom_id": "t-1", "error": error}) == Line("t-1", why=why)
    with pytest.raises(Malformed):
        openai.line({"response": response})


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("overloaded_error", 529),
        ("api_error", 500),
        (None, 500),
    ],
)
def test_an_error_of_anthropic_has_the_status_that_it_would_have_alone(
    kind: str | None, status: int
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "no"}}
    found = anthropic.line({"custom_id": "t", "result": {"type": "errored", "error": error}})
    assert found == Line("t", status, json.dumps(error).encode())


def test_a_price_comes_back_as_it_was_written() -> None:
    row = TokenPrice(Decimal("0.15"), Decimal("0.6"), Decimal("0.075"), Decimal("0.3"))
    for price in (row, TokenPrice(Decimal(1), Decimal(2)), SteppedPrice(row, ((200_000, row),))):
        assert price_from_json(json.loads(json.dumps(plain(policy_price(price))))) == price
