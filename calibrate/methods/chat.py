"""Answer a case by chat: the workflow's prompt, one completion."""

from __future__ import annotations

from calibrate.candidates import Candidate, chat_request
from calibrate.client import Answer, Client
from calibrate.completion import Completion, Request
from calibrate.config import Workflow
from calibrate.dataset import Case
from calibrate.methods.base import Response
from calibrate.prompts import Prompt
from calibrate.signals import from_completion

__all__ = ["Chat"]


class Chat:
    """A chat model on one workflow."""

    def __init__(
        self, candidate: Candidate, workflow: Workflow, prompt: Prompt, client: Client
    ) -> None:
        self._candidate = candidate
        self._workflow = workflow
        self._prompt = prompt
        self._client = client

    def preparation(self) -> list[Request]:
        return []

    async def prepare(self) -> list[Answer]:
        return []

    def requests(self, case: Case, repeat: int) -> list[Request]:
        return [self._request(case, repeat)]

    async def respond(self, case: Case, repeat: int) -> Response:
        candidate = self._candidate
        answer = await self._client.ask(
            candidate.model.endpoint,
            self._request(case, repeat),
            candidate.price,
            candidate.timeout_s,
        )
        if isinstance(answer.reply, Completion):
            return Response(answer, answer.reply.text or "", from_completion(answer.reply))
        return Response(answer, None, {})

    def _request(self, case: Case, repeat: int) -> Request:
        return chat_request(self._candidate, self._workflow, self._prompt.messages(case), repeat)
