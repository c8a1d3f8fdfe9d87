"""The further calls that signals of one model's answers need: samples, and a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.client import Answer, Client
from calibrate.completion import CHARACTERS_PER_TOKEN, ChatMessage, Completion, Reply, Request
from calibrate.config import Agreement
from calibrate.dataset import Case
from calibrate.methods.base import Ask, Response, SignalCost
from calibrate.methods.noting import Noting
from calibrate.signals import SignalReader, agreement, sample_repeat, verifier_score

__all__ = ["FurtherCalls"]


class FurtherCalls:
    """Asks what a workflow's signals need beyond one candidate's answers."""

    def __init__(self, candidate: Candidate, noting: Noting, client: Client) -> None:
        is_baseline = candidate.alias == noting.baseline
        self._candidate = candidate
        self._reader = noting.reader
        self._agreement = None if is_baseline else noting.reader.settings.agreement
        self._verifier = None if is_baseline else noting.verifier
        self._client = client

    def samples(self, request: Request) -> list[Ask]:
        """Return what is asked for `agreement` besides a request."""
        if self._agreement is None:
            return []
        model = self._candidate
        return [
            Ask(model.model.endpoint, sample, model.price, model.timeout_s, model.alias)
            for sample in _samples(request, self._agreement)
        ]

    def verdicts(self, case: Case, question: Sequence[ChatMessage], answer: str) -> list[Ask]:
        """Return what is asked for `verifier` once there is an answer."""
        if self._verifier is None:
            return []
        model = self._verifier.candidate
        request = self._verifier.request(case, question, answer)
        account = self._candidate.alias
        return [Ask(model.model.endpoint, request, model.price, model.timeout_s, account)]

    def longest_verdicts(
        self, case: Case, question: Sequence[ChatMessage], most_tokens: int
    ) -> list[Ask]:
        """Return about the longest that may be asked for `verifier` before there is an answer."""
        return self.verdicts(case, question, "x" * (CHARACTERS_PER_TOKEN * most_tokens))

    async def noted(
        self,
        case: Case,
        question: Sequence[ChatMessage],
        response: Response,
        *,
        is_sampled: bool = True,
    ) -> Response:
        """Return an answer with the signals that further calls give, and what they took.

        Samples and verdict are asked at once. A signal that none of its calls gives is left out;
        its cost is not.
        """
        if self._agreement is None and self._verifier is None:
            return response
        text, reply = response.text or "", response.answer.reply
        samples = self.samples(response.answer.request) if is_sampled else []
        verdicts = self.verdicts(case, question, text)
        if not samples and self._verifier is None:
            return response
        replies = await self._replies([*samples, *verdicts])
        signals: dict[str, float | None] = {}
        costs = {}
        if samples:
            own = replies[: len(samples)]
            signals["agreement"] = _agreement(self._reader, text, own)
            costs["agreement"] = _cost(samples, own, since_s=reply.latency_s)
        if self._verifier is not None:
            (verdict,) = replies[len(samples) :]
            costs["verifier"] = _cost(verdicts, [verdict])
            if isinstance(verdict, Completion):
                signals["verifier"] = verifier_score(verdict, self._verifier.options)
        found = {name: value for name, value in signals.items() if value is not None}
        return replace(response, signals={**response.signals, **found}, costs=costs)

    async def _replies(self, asks: Sequence[Ask]) -> list[Reply]:
        asked = (
            self._client.ask(a.endpoint, a.request, a.price, a.timeout_s, account=a.account)
            for a in asks
        )
        # What is in flight when one cannot be asked is waited for and kept: it is paid for.
        results = await asyncio.gather(*asked, return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        return [answer.reply for answer in results if isinstance(answer, Answer)]


def _samples(request: Request, options: Agreement) -> list[Request]:
    """Return the same request again at a temperature, with repeat indices of their own.

    A seed is counted on: with one and the same all samples would be alike.
    """
    seed = request.parameters.get("seed")
    return [
        replace(
            request,
            parameters={
                **request.parameters,
                "temperature": options.temperature,
                **({"seed": seed + 1 + number} if isinstance(seed, int) else {}),
            },
            logprobs=False,
            repeat=sample_repeat(request.repeat, number),
        )
        for number in range(options.samples)
    ]


def _agreement(reader: SignalReader, text: str, replies: Sequence[Reply]) -> float | None:
    """Return how many samples agree; one that failed does not, and none is known if all did."""
    said = [
        reader.said(reply.text or "") if isinstance(reply, Completion) else None
        for reply in replies
    ]
    has_failed = not any(isinstance(reply, Completion) for reply in replies)
    return None if has_failed else agreement(reader.said(text), said)


def _cost(asks: Sequence[Ask], replies: Sequence[Reply], since_s: float | None = 0.0) -> SignalCost:
    usd = sum(
        (
            ask.price.cost(reply.usage, reply.latency_s)
            for ask, reply in zip(asks, replies, strict=True)
            if isinstance(reply, Completion)
        ),
        Decimal(0),
    )
    return SignalCost(len(asks), usd, _wait_s(replies, since_s))


def _wait_s(replies: Sequence[Reply], since_s: float | None) -> float | None:
    latencies = [reply.latency_s for reply in replies if reply.latency_s is not None]
    if since_s is None or len(latencies) < len(replies):
        return None
    return max(round(max(latencies) - since_s, 4), 0.0)
