"""Answer a case by chat: the workflow's prompt, one completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calibrate.candidates import Candidate, chat_form
from calibrate.client import Answer, Client
from calibrate.completion import Completion, Request
from calibrate.config import Workflow
from calibrate.dataset import Case
from calibrate.methods.base import Ask, Response
from calibrate.methods.further import FurtherCalls
from calibrate.methods.noting import Noting
from calibrate.prompts import Prompt
from calibrate.signals import both

__all__ = ["Chat"]


class Chat:
    """A chat model on one workflow."""

    def __init__(
        self,
        candidate: Candidate,
        workflow: Workflow,
        prompt: Prompt,
        client: Client,
        noting: Noting,
    ) -> None:
        self._candidate = candidate
        self._form = chat_form(candidate, workflow)
        self._most_tokens = workflow.max_output_tokens
        self._prompt = prompt
        self._client = client
        self._reader = noting.reader
        self._further = FurtherCalls(candidate, noting, client)
        # Requests and their signals, made when they were looked up.
        self._ahead: dict[tuple[str, int], tuple[Request, Mapping[str, float]]] = {}

    def preparation(self) -> list[Request]:
        return []

    async def prepare(self) -> list[Answer]:
        return []

    def requests(self, case: Case, repeat: int) -> list[Request]:
        request = self._request(case, repeat)
        return [request, *(ask.request for ask in self._further.samples(request))]

    def others(self, case: Case, repeat: int) -> list[Ask]:
        request = self._request(case, repeat)
        answer = self._client.stored(self._candidate.model.endpoint, request)
        if answer is None:
            return self._further.longest_verdicts(case, request.messages, self._most_tokens)
        if not isinstance(answer.reply, Completion):
            return []
        return self._further.verdicts(case, request.messages, answer.reply.text or "")

    def look_ahead(self, asked: Sequence[tuple[Case, int]]) -> None:
        requests = [self._request(case, repeat) for case, repeat in asked]
        self._client.look_ahead(self._candidate.model.endpoint, requests)
        for (case, repeat), request in zip(asked, requests, strict=True):
            self._ahead[case.id, repeat] = request, self._reader.before(request.messages)

    async def respond(self, case: Case, repeat: int) -> Response:
        candidate = self._candidate
        ahead = self._ahead.pop((case.id, repeat), None)
        request = self._request(case, repeat) if ahead is None else ahead[0]
        answer = await self._client.ask(
            candidate.model.endpoint,
            request,
            candidate.price,
            candidate.timeout_s,
            account=candidate.alias,
        )
        if not isinstance(answer.reply, Completion):
            return Response(answer, None, {})
        before = self._reader.before(request.messages) if ahead is None else ahead[1]
        signals = both(before, self._reader.after(answer.reply))
        response = Response(answer, answer.reply.text or "", signals)
        return await self._further.noted(case, request.messages, response)

    def _request(self, case: Case, repeat: int) -> Request:
        return self._form.request(self._prompt.messages(case), repeat)
