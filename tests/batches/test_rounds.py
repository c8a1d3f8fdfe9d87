"""A round by batches: asked once, answered in any order, paid within the cap, lost by nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from batches.desk import PRICE, Desk, ask
from batches.server import BatchServer, said, says
from loopback import Received, Response, anthropic_error, embedding, error, refused_port

from calibrate.batches import Detached
from calibrate.client import Answer, Source
from calibrate.completion import Completion, Failure, FailureReason, Request
from calibrate.errors import BudgetError, ModelMoved, ProviderError
from calibrate.methods import Ask
from calibrate.pricing import Budget, HourlyPrice

Opened = Callable[[BatchServer], Desk]


def echo(body: dict[str, Any]) -> Response:
    return said(body, f"to {body['messages'][-1]['content']}")


def refusal(kind: str, status: int) -> Response:
    names = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error"}
    if kind == "anthropic":
        return anthropic_error(status, names.get(status, "api_error"), f"error {status}")
    return error(status, f"error {status}")


def unless(text: str, answer: Any) -> Callable[[dict[str, Any]], Any]:
    """Every request is echoed, but for the one that says `text`."""
    return lambda body: answer if body["messages"][-1]["content"] == text else echo(body)


def test_each_request_gets_its_own_answer_although_they_come_in_another_order(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo)
    answers = desk(server).fetch([ask(kind, text) for text in "abc"])
    assert [answer.reply.text for answer in answers if isinstance(answer.reply, Completion)] == [
        "to a",
        "to b",
        "to c",
    ]
    assert [answer.source for answer in answers] == [Source.ASKED] * 3
    assert (server.asked(), server.live) == (["a", "b", "c"], [])


def test_answers_are_kept_under_the_keys_of_live_ones_without_a_latency(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo)
    there = desk(server)
    asks = [ask(kind, "a")]
    there.fetch(asks)
    (kept,) = there.cached(asks)
    assert (kept.text, kept.latency_s) == ("to a", None)
    there.fetch(asks)
    assert server.asked() == ["a"]


def test_a_request_that_is_asked_for_twice_is_handed_in_once(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    desk(server).fetch([ask(kind, "a"), ask(kind, "a")])
    assert server.asked() == ["a"]


def test_repeats_of_a_request_are_requests_of_their_own(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    first = ask(kind, "a")
    again = ask(kind, "a", temperature=1)
    desk(server).fetch([first, again])
    assert server.asked() == ["a", "a"]


def test_what_is_paid_is_the_batch_price_and_the_rest_of_the_worst_case_is_given_back(
    kind: str, desk: Opened
) -> None:
    there = desk(BatchServer(echo))
    (answer,) = there.fetch([ask(kind, "a")])
    # 10 tokens in and 1 out, at a dollar each and half of that in a batch.
    assert answer.paid_usd == there.budget.spent_usd == Decimal("5.5")


def test_where_no_lower_price_is_known_the_whole_one_counts(kind: str, desk: Opened) -> None:
    there = desk(BatchServer(echo))
    there.factor = Decimal(1)
    there.fetch([ask(kind, "a")])
    assert there.budget.spent_usd == 11


def test_the_wait_between_two_looks_grows_to_a_minute(kind: str, desk: Opened) -> None:
    there = desk(BatchServer(echo, looks=9))
    there.fetch([ask(kind, "a")])
    assert there.time.waits[:3] == [5.0, 7.5, 11.25]
    assert there.time.waits[-1] == 60.0


def test_what_failed_for_a_reason_of_its_own_is_a_failure_and_the_rest_is_answered(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(unless("b", refusal(kind, 400)))
    first, second = desk(server).fetch([ask(kind, "a"), ask(kind, "b")])
    assert isinstance(first.reply, Completion)
    assert isinstance(second.reply, Failure)
    assert (second.reply.reason, second.reply.latency_s) == (FailureReason.REJECTED, None)
    assert second.paid_usd == 0
    assert server.asked() == ["a", "b"]


@pytest.mark.parametrize("trouble", ["expired", 429, 500])
def test_what_expired_or_failed_for_a_time_is_handed_in_again(
    trouble: str | int, kind: str, desk: Opened
) -> None:
    once = iter([trouble if isinstance(trouble, str) else refusal(kind, trouble)])
    server = BatchServer(lambda body: echo(body) if asked(body) == "a" else next(once, echo(body)))
    answers = desk(server).fetch([ask(kind, "a"), ask(kind, "b")])
    assert all(isinstance(answer.reply, Completion) for answer in answers)
    assert server.asked() == ["a", "b", "b"]


def asked(body: dict[str, Any]) -> str:
    text: str = body["messages"][-1]["content"]
    return text


def test_what_expires_three_times_is_a_failed_call_that_costs_nothing(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(unless("b", "expired"))
    there = desk(server)
    _, answer = there.fetch([ask(kind, "a"), ask(kind, "b")])
    assert isinstance(answer.reply, Failure)
    assert answer.reply.reason is FailureReason.TIMEOUT
    assert answer.reply.message.startswith("no answer in its batch: ")
    assert server.asked() == ["a", "b", "b", "b"]
    assert there.budget.spent_usd == Decimal("5.5")
    assert there.out() == []


def test_what_left_no_trace_counts_at_its_worst_and_is_handed_in_again(
    kind: str, desk: Opened
) -> None:
    lost = iter([None])
    there = desk(BatchServer(lambda body: next(lost, echo(body))))
    (answer,) = there.fetch([ask(kind, "a")])
    assert isinstance(answer.reply, Completion)
    # At most 1 byte, 2 times 16 tokens around it and 4 of output, and then the answer itself.
    assert there.budget.spent_usd == Decimal("0.5") * (1 + 32 + 4 + 11)


def test_a_cancelled_batch_ends_the_run_and_keeps_its_answers(kind: str, desk: Opened) -> None:
    server = BatchServer(unless("b", "cancelled"))
    there = desk(server)
    asks = [ask(kind, "a"), ask(kind, "b")]
    with pytest.raises(ProviderError, match="somebody cancelled it"):
        there.fetch(asks)
    first, second = there.cached(asks)
    assert (first.text, second) == ("to a", None)
    assert there.out() == []
    server.answer = echo
    assert len(there.fetch(asks)) == 2
    assert server.asked() == ["a", "b", "b"]


def test_a_model_that_is_not_there_ends_the_run_once(kind: str, desk: Opened) -> None:
    server = BatchServer(unless("b", refusal(kind, 404)))
    there = desk(server)
    asks = [ask(kind, "a"), ask(kind, "b")]
    with pytest.raises(ProviderError, match="error 404"):
        there.fetch(asks)
    assert [reply is not None for reply in there.cached(asks)] == [True, False]


def test_a_batch_that_is_refused_as_a_whole_costs_nothing(kind: str, desk: Opened) -> None:
    path = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches"}[kind]
    server = BatchServer(echo, fail=lambda r: refusal(kind, 400) if r.path == path else None)
    there = desk(server)
    with pytest.raises(ProviderError, match=r"takes no batch of .*error 400.*without --batch"):
        there.fetch([ask(kind, "a")])
    assert (there.out(), there.budget.spent_usd) == ([], 0)


def test_the_cap_is_never_passed_and_what_it_leaves_is_used(kind: str, desk: Opened) -> None:
    server = BatchServer(echo, looks=1)
    there = desk(server)
    # Each request may cost 0.5 x (1 + 32 + 4) dollars, and does cost 5.5.
    there.budget.limit_usd = Decimal(40)
    there.fetch([ask(kind, text) for text in "abcd"])
    assert [len(out.requests) for out in server.out] == [2, 1, 1]
    assert there.budget.spent_usd == 22
    with pytest.raises(BudgetError):
        there.fetch([ask(kind, "e")])
    assert len(server.out) == 3


def test_of_several_batches_those_that_fit_under_the_cap_are_handed_in(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo)
    there = desk(server)
    there.budget.limit_usd = Decimal(40)
    with pytest.raises(Detached, match="2 requests are out in 2 batches"):
        there.fetch([ask(kind, text) for text in "abc"], most_requests=1, detach=True)
    assert there.budget.spent_usd == 37


def test_a_round_is_split_where_a_batch_may_hold_no_more(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    answers = desk(server).fetch([ask(kind, text) for text in "abcde"], most_requests=2)
    assert [len(out.requests) for out in server.out] == [2, 2, 1]
    assert all(isinstance(answer.reply, Completion) for answer in answers)


def test_a_detached_run_goes_on_with_the_answers_of_its_batch(kind: str, desk: Opened) -> None:
    server = BatchServer(echo, looks=2)
    there = desk(server)
    asks = [ask(kind, "a"), ask(kind, "b")]
    with pytest.raises(Detached, match="2 requests are out in 1 batches"):
        there.fetch(asks, detach=True)
    assert there.time.waits == []
    assert there.budget.spent_usd == Decimal("0.5") * 2 * (1 + 32 + 4)
    answers = there.fetch(asks, detach=True)
    assert [answer.source for answer in answers] == [Source.ASKED] * 2
    assert (server.asked(), there.out()) == (["a", "b"], [])


def test_a_larger_round_hands_in_only_what_is_not_out_yet(kind: str, desk: Opened) -> None:
    server = BatchServer(echo, looks=3)
    there = desk(server)
    with pytest.raises(Detached):
        there.fetch([ask(kind, "a")], detach=True)
    assert len(there.fetch([ask(kind, "a"), ask(kind, "b")])) == 2
    assert server.asked() == ["a", "b"]


def test_a_machine_by_the_hour_is_left_to_the_run_and_that_is_said_once(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo)
    there = desk(server)
    hourly = ask(kind, "a", HourlyPrice(Decimal(1), 1))
    there.fetch([hourly, ask(kind, "b", HourlyPrice(Decimal(1), 1))])
    assert (server.out, len(server.live)) == ([], 2)
    (note,) = there.said
    assert "is asked directly, at the full price" in note


def test_a_model_that_moved_meanwhile_is_told_once_everything_is_kept(
    kind: str, desk: Opened
) -> None:
    names = iter(["one", "two", "two"])

    def moving(body: dict[str, Any]) -> Response:
        value = json.loads(echo(body).body)
        return Response(200, json.dumps({**value, "model": next(names)}).encode())

    there = desk(BatchServer(moving))
    asks = [ask(kind, text) for text in "abc"]
    with pytest.raises(ModelMoved):
        there.fetch(asks)
    assert there.out() == []
    assert there.budget.spent_usd == Decimal("16.5")
    assert sum(reply is not None for reply in there.cached(asks)) == 2


def test_an_answer_that_was_measured_is_wanted_where_a_latency_counts(
    kind: str, desk: Opened
) -> None:
    there = desk(BatchServer(says("x")))
    asks = [ask(kind, "a")]
    there.fetch(asks)
    there.client_options = {"needs_latency": True}
    with pytest.raises(Detached):
        there.fetch(asks, detach=True)


def test_a_price_with_steps_is_the_same_after_the_journal(kind: str, desk: Opened) -> None:
    there = desk(BatchServer(echo, looks=9))
    with pytest.raises(Detached):
        there.fetch([ask(kind, "a")], detach=True)
    (batch,) = there.out()
    assert batch.price == PRICE


@pytest.mark.parametrize("kind", ["openai"])
def test_texts_are_embedded_in_batches_of_their_own(kind: str, desk: Opened) -> None:
    def answer(body: dict[str, Any]) -> Response:
        return embedding([1.0, 0.5], model="gpt") if "input" in body else echo(body)

    server = BatchServer(answer)
    vector = Ask("e", Request(kind, "gpt", input="a"), PRICE, 10.0)
    first, second = desk(server).fetch([vector, ask(kind, "b")])
    assert isinstance(first.reply, Completion)
    assert isinstance(second.reply, Completion)
    assert (first.reply.embedding, second.reply.text) == ((1.0, 0.5), "to b")
    assert len(server.out) == 2


def test_batches_that_are_out_are_waited_for_though_the_cap_allows_no_more(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo, looks=3)
    there = desk(server)
    with pytest.raises(Detached):
        there.fetch([ask(kind, "a")], detach=True)
    there.budget = Budget(Decimal(1))
    with pytest.raises(BudgetError):
        there.fetch([ask(kind, "a"), ask(kind, "b")])
    assert [reply is not None for reply in there.cached([ask(kind, "a"), ask(kind, "b")])] == [
        True,
        False,
    ]
    assert (there.out(), server.asked()) == ([], ["a"])


def test_two_runs_at_once_hand_a_request_in_once(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    there = desk(server)

    async def slower(seconds: float) -> None:  # so that what is sent has the time to arrive
        there.time.now += seconds / 100
        await asyncio.sleep(seconds / 1_000)

    there.time.sleep = slower  # type: ignore[method-assign]

    async def both() -> list[list[Answer]]:
        runs = (there._fetch([ask(kind, text) for text in texts], {}) for texts in ("ab", "bc"))
        return await asyncio.gather(*runs)

    one, two = asyncio.run(both())
    assert [a.reply.text for a in (*one, *two) if isinstance(a.reply, Completion)] == [
        "to a",
        "to b",
        "to b",
        "to c",
    ]
    assert sorted(server.asked()) == ["a", "b", "c"]


def test_a_request_that_another_run_takes_meanwhile_is_waited_for(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    there = desk(server)
    other = Desk(there.root, kind, there.base_url)

    class Slow(Budget):
        def reserve(self, worst_usd: Decimal, account: str = "") -> None:
            super().reserve(worst_usd, account)
            with ThreadPoolExecutor() as pool, suppress(Detached):
                pool.submit(other.fetch, [ask(kind, "a")], detach=True).result()

    there.budget = Slow(None)
    (answer,) = there.fetch([ask(kind, "a")])
    assert isinstance(answer.reply, Completion)
    assert server.asked() == ["a"]
    assert there.budget.spent_usd == 0  # the other run's budget counts it


def test_lines_of_a_hostile_server_name_no_request_that_is_not_there(
    kind: str, desk: Opened
) -> None:
    server = BatchServer(echo)
    there = desk(server)

    def odd(received: Received) -> Response | None:
        if not received.path.endswith(("/content", "/results")):
            return None
        tag = server.out[0].requests[0][0].partition("-")[0]
        names = ["", "x", tag, f"{tag}-", f"{tag}-7", f"{tag}--1", f"{tag}-١", f"{tag}-{9**99}"]
        result = {"type": "succeeded", "message": {}}
        response = {"status_code": 200, "body": {}}
        rows = [{"custom_id": name, "result": result, "response": response} for name in names]
        rows.append({"custom_id": 5})  # type: ignore[dict-item]
        whole = server._done(received).body
        return Response(200, "\n".join(map(json.dumps, rows)).encode() + b"\n[1]\n" + whole)

    server.fail = odd
    (answer,) = there.fetch([ask(kind, "a")])
    assert isinstance(answer.reply, Completion)
    assert there.budget.spent_usd == Decimal("5.5")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"id": 5}'])
def test_an_upload_that_is_not_confirmed_is_no_batch(
    body: bytes, tmp_path: Path, desk: Opened, kind: str
) -> None:
    path = {"openai": "/v1/files", "anthropic": "/v1/messages/batches"}[kind]
    odd = iter([Response(200, body)])
    server = BatchServer(
        echo,
        fail=lambda r: next(odd, None) if (r.path, r.method) == (path, "POST") else None,
    )
    there = desk(server)
    if kind == "openai":
        with pytest.raises(ProviderError, match="takes no batch of 'gpt'"):
            there.fetch([ask(kind, "a")])
    else:  # the batch may be there all the same: it is looked for before it is handed in again
        there.fetch([ask(kind, "a")])
        assert sum(there.time.waits) >= 60
    assert there.out() == []


@pytest.mark.parametrize("kind", ["openai"])
def test_an_upload_that_is_refused_is_told(kind: str, desk: Opened) -> None:
    server = BatchServer(
        echo, fail=lambda r: error(413, "too large") if r.path == "/v1/files" else None
    )
    there = desk(server)
    with pytest.raises(ProviderError, match="HTTP 413: too large"):
        there.fetch([ask(kind, "a")])
    assert (there.out(), there.budget.spent_usd) == ([], 0)


def test_a_server_that_cannot_be_reached_takes_no_batch(kind: str, tmp_path: Path) -> None:
    there = Desk(tmp_path, kind, f"http://127.0.0.1:{refused_port()}/v1")
    with pytest.raises(ProviderError, match="cannot be reached"):
        there.fetch([ask(kind, "a")])
    assert (there.out(), there.budget.spent_usd) == ([], 0)
