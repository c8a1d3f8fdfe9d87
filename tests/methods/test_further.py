"""Signals that take further calls: samples of the same model, and a verdict of another."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, Received, Response, Script, chat, embedding, error

from calibrate.cache import Cache, Recordings
from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.completion import Completion, Usage, estimated_tokens
from calibrate.config import Tiers, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import ProviderError
from calibrate.methods import Method, method_for, noting_for
from calibrate.methods import Response as Answered
from calibrate.pricing import Budget, TokenPrice
from calibrate.prompts import Prompt

PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10}
GOLD = "canary of gold"
CASE = Case("t-1", {"ticket": "Where is it?"}, GOLD)
AGREEMENT = {"agreement": {"samples": 3, "temperature": 0.7}}
VERIFIER = {"verifier": {"model": "large"}}
YES = {
    "content": [
        {
            "token": "yes",
            "logprob": -0.105361,
            "top_logprobs": [
                {"token": "yes", "logprob": -0.105361},
                {"token": "no", "logprob": -2.995732},
            ],
        }
    ]
}


class Unused:
    """Where nothing is asked."""

    base_url = "http://127.0.0.1:9/v1"


UNUSED = Unused()


def tiers(server: Loopback | Unused, **parameters: Any) -> Tiers:
    return Tiers.model_validate(
        {
            "version": 1,
            "endpoints": {
                "e": {"kind": "openai", "base_url": server.base_url},
                "v": {"kind": "openai", "base_url": server.base_url + "/v"},
            },
            "models": {
                "small": {
                    "endpoint": "e",
                    "name": "small-1",
                    "price": PRICE,
                    "parameters": parameters,
                },
                "mini": {
                    "endpoint": "e",
                    "name": "mini-1",
                    "price": PRICE,
                    "method": "nearest_example",
                },
                "large": {
                    "endpoint": "v",
                    "name": "large-1",
                    "price": {"input_usd_per_mtok": 100, "output_usd_per_mtok": 1000},
                },
            },
            "tiers": {"cheap": ["small", "mini"], "frontier": ["large"]},
            "baseline": "frontier",
        }
    )


def workflow(*signals: Any) -> Workflow:
    return Workflow.model_validate(
        {
            "version": 1,
            "dataset": "datasets/sort.jsonl",
            "prompt": [{"role": "user", "content": "Sort: {{ input.ticket }}"}],
            "max_output_tokens": 8,
            "labels": ["billing", "shipping"],
            "graders": ["one_of"],
            "bar": {"pass_rate": 0.9},
            "signals": list(signals),
        }
    )


def candidate(known: Tiers, alias: str) -> Candidate:
    price = TokenPrice(Decimal(1), Decimal(10))
    model = known.models[alias]
    return Candidate(alias, "cheap", model, "openai", 20, price, None, Decimal(0))


class Asked:
    """A method on a server, with what it says it asks and what it answers."""

    def __init__(
        self,
        script: Script,
        *signals: Any,
        alias: str = "small",
        repeat: int = 0,
        case: Case = CASE,
        cache: Path | None = None,
        times: int = 1,
        **parameters: Any,
    ) -> None:
        with Loopback(script) as server:
            known = tiers(server, **parameters)
            self.received = server.received
            self.responses = [
                asyncio.run(self._respond(known, workflow(*signals), alias, case, repeat, cache))
                for _ in range(times)
            ]
        self.response = self.responses[0]

    async def _respond(
        self,
        known: Tiers,
        asked: Workflow,
        alias: str,
        case: Case,
        repeat: int,
        cache: Path | None,
    ) -> Answered:
        prompt = Prompt("sort", asked)
        examples = [Example("money", "billing"), Example("parcel", "shipping")]
        noting = noting_for("sort", known, asked, prompt, [case], examples)
        with nullcontext() if cache is None else Cache(cache) as kept:
            client = Client(
                known.endpoints,
                recordings=Recordings(None),
                cache=kept,
                budget=Budget(None),
                keep_given=True,
            )
            async with client:
                model = candidate(known, alias)
                method: Method = method_for(model, asked, prompt, examples, client, noting)
                self.requests = method.requests(case, repeat)
                self.others = method.others(case, repeat)
                await method.prepare()
                self.given = client.given
                return await method.respond(case, repeat)


def script(*samples: str, verdict: Response | None = None) -> Script:
    """Answer `shipping` at no temperature and the samples, in any order, at one."""
    left = list(samples)

    def answer(received: Received) -> Response:
        if received.model == "large-1":
            return verdict or chat("yes", logprobs=YES)
        return chat(left.pop() if "temperature" in received.body else "shipping")

    return answer


def test_agreement_is_how_many_samples_say_what_the_answer_says() -> None:
    asked = Asked(script("Shipping.", "billing", "shipping"), AGREEMENT)
    assert asked.response.signals == {"agreement": 0.666667}
    assert [one.body.get("temperature") for one in asked.received] == [None, 0.7, 0.7, 0.7]
    assert {one.asked for one in asked.received} == {"Sort: Where is it?"}
    assert [one.body.get("logprobs") for one in asked.received] == [True, None, None, None]


def test_samples_cost_what_they_cost() -> None:
    cost = Asked(script(*["shipping"] * 3), AGREEMENT).response.costs["agreement"]
    # three times (10 tokens in at 1, 1 out at 10) per million
    assert (cost.calls, cost.usd) == (3, Decimal("0.00006"))


def test_every_request_to_the_model_is_told_before_it_is_asked() -> None:
    asked = Asked(script(*["shipping"] * 3), AGREEMENT)
    assert [request.repeat for request in asked.requests] == [0, 1000, 1001, 1002]
    assert {key for _, key in asked.given} == {request.key for request in asked.requests}
    assert len({request.key for request in asked.requests}) == len(asked.received) == 4


def test_the_samples_of_a_repeat_are_its_own() -> None:
    first, second = (
        {request.key for request in Asked(script(*["x"] * 3), AGREEMENT, repeat=repeat).requests}
        for repeat in (0, 1)
    )
    assert len(first | second) == 8


def test_more_samples_keep_the_first_ones() -> None:
    few, more = (
        [r.key for r in Asked(script(*["x"] * n), {"agreement": {"samples": n}}).requests]
        for n in (2, 4)
    )
    assert more[:3] == few


def test_samples_do_not_change_the_answers_own_key() -> None:
    with_samples = Asked(script(*["x"] * 3), AGREEMENT).requests[0]
    assert with_samples == Asked(script()).requests[0]


def test_a_seed_is_not_the_same_for_all_samples() -> None:
    asked = Asked(script(*["x"] * 3), AGREEMENT, seed=7)
    assert [one.parameters["seed"] for one in asked.requests] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("samples", "signals"),
    [
        (["shipping", "", ""], {"agreement": 0.333333}),
        (["", "", ""], {"agreement": 0.0}),
    ],
)
def test_a_sample_that_says_nothing_does_not_agree(
    samples: list[str], signals: dict[str, float]
) -> None:
    assert Asked(script(*samples), AGREEMENT).response.signals == signals


@pytest.mark.parametrize(("failing", "signals"), [(1, {"agreement": 0.666667}), (3, {})])
def test_a_failed_sample_does_not_agree_and_without_any_none_is_known(
    failing: int, signals: dict[str, float]
) -> None:
    left = [error(400, "no temperature")] * failing + [chat("shipping")] * (3 - failing)

    def answer(received: Received) -> Response:
        return left.pop() if "temperature" in received.body else chat("shipping")

    response = Asked(answer, AGREEMENT).response
    assert response.signals == signals
    assert response.costs["agreement"].usd == Decimal("0.00002") * (3 - failing)


def test_with_an_answer_that_cannot_be_read_nothing_agrees() -> None:
    response = Asked(lambda _: chat("either"), AGREEMENT).response
    assert (response.text, response.signals) == ("either", {})
    assert response.costs["agreement"].calls == 3


def stored(latencies_s: dict[str, list[float | None]], path: Path) -> Answered:
    """Answer a case from a cache in which each model's requests took so long, in their order."""

    async def answered() -> Answered:
        asked = workflow(AGREEMENT, VERIFIER)
        known, prompt = tiers(UNUSED), Prompt("sort", asked)
        noting = noting_for("sort", known, asked, prompt, [CASE])
        model = candidate(known, "small")
        with Cache(path) as cache:
            client = Client(
                known.endpoints,
                recordings=Recordings(None),
                cache=cache,
                budget=Budget(None),
                offline=True,
            )
            async with client:
                method = method_for(model, asked, prompt, (), client, noting)
                assert noting.verifier is not None
                question = prompt.messages(CASE)
                verdict = noting.verifier.request(CASE, question, "shipping")
                requests = {"e": method.requests(CASE, 0), "v": [verdict]}
                for endpoint, base_url in (("e", UNUSED.base_url), ("v", UNUSED.base_url + "/v")):
                    pairs = zip(requests[endpoint], latencies_s[endpoint], strict=True)
                    for request, latency_s in pairs:
                        reply = Completion(Usage(10, 1), "served", latency_s, text="shipping")
                        cache.put(request, base_url, reply)
                return await method.respond(CASE, 0)

    return asyncio.run(answered())


@pytest.mark.parametrize(
    ("samples", "verdict", "waits"),
    [
        ([0.5, 1.25, 0.75], 0.125, {"agreement": 0.25, "verifier": 0.125}),  # 1.25 - 1
        ([0.5, 0.5, 1.0], 2.0, {"agreement": 0.0, "verifier": 2.0}),
    ],
)
def test_samples_are_waited_for_beside_the_answer_and_a_verdict_after_it(
    tmp_path: Path, samples: list[float], verdict: float, waits: dict[str, float]
) -> None:
    found = stored({"e": [1.0, *samples], "v": [verdict]}, tmp_path / "cache.sqlite")
    assert {name: cost.wait_s for name, cost in found.costs.items()} == waits
    assert found.answer.reply.latency_s == 1.0  # which they do not change


@pytest.mark.parametrize(
    ("answers", "verdict", "waits"),
    [
        ([1.0, 0.5, None, 0.5], 2.0, [None, 2.0]),
        ([None, 0.5, 0.5, 0.5], 2.0, [None, 2.0]),
        ([1.0, 2.0, 0.5, 0.5], None, [1.0, None]),
    ],
)
def test_a_wait_that_was_not_measured_is_not_known(
    tmp_path: Path, answers: list[float | None], verdict: float | None, waits: list[float | None]
) -> None:
    found = stored({"e": answers, "v": [verdict]}, tmp_path / "cache.sqlite")
    assert [cost.wait_s for cost in found.costs.values()] == waits


def test_a_verdict_is_how_sure_another_model_is() -> None:
    asked = Asked(script(), VERIFIER)
    assert asked.response.signals == {"verifier": 0.925}
    answered, verdict = asked.received
    assert (answered.model, verdict.model) == ("small-1", "large-1")
    assert verdict.path.startswith("/v1/v/")
    assert "The answer:\n\nshipping" in verdict.asked


def test_a_verdict_costs_what_the_verifier_costs() -> None:
    response = Asked(script(), VERIFIER).response
    # (10 tokens in at 100, 1 out at 1000) per million
    cost = response.costs["verifier"]
    assert (cost.calls, cost.usd) == (1, Decimal("0.002"))


def test_what_is_asked_of_the_verifier_is_told_at_its_longest() -> None:
    asked = Asked(script(), VERIFIER)
    assert len(asked.requests) == 1
    (other,) = asked.others
    assert (other.endpoint, other.price) == ("v", TokenPrice(Decimal(100), Decimal(1000)))
    sent = {name: answer for name, answer in asked.given.items() if name[0] == "v"}
    (answer,) = sent.values()
    # An answer of 8 tokens in place of `shipping`, which is 2.
    assert estimated_tokens(other.request.texts) - estimated_tokens(answer.request.texts) == 6


@pytest.mark.parametrize(
    "verdict", [chat("yes"), chat("perhaps", logprobs=YES | {"content": []}), error(400, "no")]
)
def test_a_verdict_that_cannot_be_had_is_missing_and_not_a_no(verdict: Response) -> None:
    response = Asked(script(verdict=verdict), VERIFIER).response
    assert (response.text, response.signals) == ("shipping", {})
    assert response.costs["verifier"].calls == 1


def test_a_verifier_that_cannot_be_asked_at_all_is_an_error() -> None:
    with pytest.raises(ProviderError, match="endpoint 'v'"):
        Asked(script(verdict=error(401, "no key")), VERIFIER)


def test_samples_and_verdict_may_both_be_noted() -> None:
    response = Asked(script(*["shipping"] * 3), AGREEMENT, VERIFIER).response
    assert response.signals == {"agreement": 1.0, "verifier": 0.925}


def test_of_the_baseline_no_signal_is_paid_for() -> None:
    asked = Asked(lambda _: chat("shipping"), AGREEMENT, VERIFIER, alias="large")
    assert (asked.response.signals, asked.response.costs) == ({}, {})
    assert (len(asked.requests), asked.others, len(asked.received)) == (1, [], 1)


def test_a_failed_call_gets_no_samples_and_no_verdict() -> None:
    asked = Asked(lambda _: error(400, "no"), AGREEMENT, VERIFIER)
    assert (asked.response.text, asked.response.signals, asked.response.costs) == (None, {}, {})
    assert len(asked.received) == 1


def test_a_nearest_example_is_verified_and_not_sampled() -> None:
    vectors = {"money": [1.0, 0.0], "parcel": [0.0, 1.0], "Where is it?": [0.0, 2.0]}

    def answer(received: Received) -> Response:
        if received.model == "mini-1":
            return embedding(vectors[received.asked])
        return chat("yes", logprobs=YES)

    asked = Asked(answer, AGREEMENT, VERIFIER, alias="mini")
    assert (asked.response.text, asked.response.signals) == ("shipping", {"verifier": 0.925})
    assert len(asked.requests) == 1
    (other,) = asked.others
    (verdict,) = (one for one in asked.received if one.model == "large-1")
    assert verdict.asked == other.request.texts[-1]  # both labels are as long
    assert "user: Sort: Where is it?" in verdict.asked


def test_the_golden_answer_reaches_no_request_and_no_signal() -> None:
    found = []
    for gold in (GOLD, "gold of another kind"):
        case = Case("t-1", {"ticket": "Where is it?"}, gold)
        asked = Asked(script(*["shipping"] * 3), AGREEMENT, VERIFIER, "valid_format", case=case)
        bodies = sorted(str(one.body) for one in asked.received)
        assert all(gold not in body for body in bodies)
        found.append((asked.response.signals, bodies))
    assert found[0] == found[1]


def test_what_was_asked_before_is_not_asked_again_and_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    samples = ["shipping", "billing", "shipping"]
    asked = Asked(script(*samples), AGREEMENT, VERIFIER, cache=path, times=2)
    first, again = asked.responses
    assert len(asked.received) == 5
    assert (first.signals, first.costs) == (again.signals, again.costs)
    assert first.signals == {"agreement": 0.666667, "verifier": 0.925}
