"""Answer a case with an embeddings model: the label whose examples lie nearest.

The examples of each label are averaged to a centroid (of unit vectors, made a unit vector again);
the answer is the label with the largest cosine to the case. The margin to the second is the signal.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from calibrate.candidates import Candidate, embedding_request
from calibrate.client import Answer, Client
from calibrate.completion import Completion, Request
from calibrate.dataset import Case, Example
from calibrate.errors import DatasetError, ProviderError
from calibrate.methods.base import Ask, Response
from calibrate.methods.further import FurtherCalls
from calibrate.methods.noting import Noting
from calibrate.prompts import Prompt

__all__ = ["NearestExample"]

Vector = tuple[float, ...]


class NearestExample:
    """An embeddings model as a classifier on one workflow."""

    def __init__(
        self,
        candidate: Candidate,
        labels: Sequence[str],
        examples: Sequence[Example],
        prompt: Prompt,
        client: Client,
        noting: Noting,
    ) -> None:
        missing = [label for label in labels if all(e.expected != label for e in examples)]
        if missing:
            raise DatasetError(
                f"models.{candidate.alias}: nearest_example has no example for "
                f"{', '.join(map(repr, missing))}"
            )
        self._candidate = candidate
        self._labels = labels
        self._examples = [example for example in examples if example.expected in labels]
        self._prompt = prompt
        self._client = client
        self._reader = noting.reader
        self._further = FurtherCalls(candidate, noting, client)
        self._centroids: dict[str, Vector] = {}

    def preparation(self) -> list[Request]:
        return [embedding_request(self._candidate, example.input) for example in self._examples]

    async def prepare(self) -> list[Answer]:
        asked = (self._ask(request) for request in self.preparation())
        # What is in flight when one cannot be asked is waited for and kept: it is paid for.
        results = await asyncio.gather(*asked, return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        answers = [answer for answer in results if isinstance(answer, Answer)]
        members: dict[str, list[Vector]] = {label: [] for label in self._labels}
        for example, answer in zip(self._examples, answers, strict=True):
            members[example.expected].append(_unit(self._vector(answer)))
        self._centroids = {label: _unit(_mean(found)) for label, found in members.items()}
        return answers

    def requests(self, case: Case, repeat: int) -> list[Request]:
        return [embedding_request(self._candidate, case.input)]

    def others(self, case: Case, repeat: int) -> list[Ask]:
        question = self._prompt.messages(case)
        longest = max(self._labels, key=len)
        return self._further.verdicts(case, question, longest)

    def look_ahead(self, asked: Sequence[tuple[Case, int]]) -> None:
        requests = [embedding_request(self._candidate, case.input) for case, _ in asked]
        self._client.look_ahead(self._candidate.model.endpoint, requests)

    async def respond(self, case: Case, repeat: int) -> Response:
        answer = await self._ask(embedding_request(self._candidate, case.input))
        if not isinstance(answer.reply, Completion):
            return Response(answer, None, {})
        vector = _unit(self._vector(answer))
        ranked = sorted(
            ((_dot(vector, centroid), label) for label, centroid in self._centroids.items()),
            key=lambda pair: (-pair[0], pair[1]),
        )
        (best, label), (second, _) = ranked[0], ranked[1]
        question = self._prompt.messages(case)  # a router sees the chat's request, and no other
        signals = dict(self._reader.before(question))
        if "label_margin" in self._reader.settings.names:
            signals["label_margin"] = round(best - second, 6)
        response = Response(answer, label, signals)
        return await self._further.noted(case, question, response, is_sampled=False)

    async def _ask(self, request: Request) -> Answer:
        candidate = self._candidate
        return await self._client.ask(
            candidate.model.endpoint,
            request,
            candidate.price,
            candidate.timeout_s,
            account=candidate.alias,
        )

    def _vector(self, answer: Answer) -> Vector:
        reply = answer.reply
        if not isinstance(reply, Completion) or reply.embedding is None:
            why = "it got text" if isinstance(reply, Completion) else reply.message
            raise ProviderError(
                f"models.{self._candidate.alias}: an example got no embedding: {why}; "
                "--no-cache asks again"
            )
        return reply.embedding


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(_dot(vector, vector))
    return tuple(x / length for x in vector) if length > 0 else vector


def _mean(vectors: Sequence[Vector]) -> Vector:
    return tuple(sum(column) / len(vectors) for column in zip(*vectors, strict=True))


def _dot(left: Vector, right: Vector) -> float:
    if len(left) != len(right):
        raise ProviderError("embeddings of different lengths; is one model behind the endpoint?")
    return math.sumprod(left, right) if hasattr(math, "sumprod") else sum(map(_times, left, right))


def _times(x: float, y: float) -> float:
    return x * y
