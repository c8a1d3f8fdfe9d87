"""The model that a workflow's `verifier` signal asks for its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate, chat_form
from calibrate.completion import ChatMessage, Request
from calibrate.config import Tiers, Verifier, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import ConfigError, PromptError, did_you_mean
from calibrate.parameters import parameter_problems
from calibrate.pricing import listing_of
from calibrate.prompts import Prompt
from calibrate.providers import provider
from calibrate.signals import default_prompt

__all__ = ["VerifierModel", "verifier_for"]


@dataclass(frozen=True, slots=True)
class VerifierModel:
    """Another model with its price, and the prompt that shows it a question and an answer."""

    options: Verifier
    candidate: Candidate
    workflow: Workflow  # with the verifier's prompt and limit in place of its own
    prompt: Prompt
    place: str

    def request(self, case: Case, question: Sequence[ChatMessage], answer: str) -> Request:
        """Return the request for a verdict; of a case it shows what may be seen at serve time.

        The same answer gets the same verdict, whichever repeat gave it. Raises `PromptError`.
        """
        text = "\n\n".join(f"{message.role}: {message.content}" for message in question)
        shown = {"question": text, "answer": answer, "case": case.input}
        seen = Case(case.id, shown, expected=None, tags=case.tags)
        with _placed(self.place):
            messages = self.prompt.render(seen)
        return chat_form(self.candidate, self.workflow).request(messages)


def verifier_for(
    place: str,
    name: str,
    options: Verifier,
    tiers: Tiers,
    workflow: Workflow,
    examples: Sequence[Example],
) -> VerifierModel:
    """Return a workflow's verifier; raises `CalibrateError` with all that is wrong with it."""
    problems = list(_model_problems(f"{place}.model", options, tiers))
    if problems:
        raise ConfigError(problems)
    model = tiers.models[options.model]
    endpoint = tiers.endpoints[model.endpoint]
    base_url = endpoint.base_url or provider(endpoint.kind).DEFAULT_BASE_URL
    listing = listing_of(options.model, model, base_url)
    candidate = Candidate(
        alias=options.model,
        tier=next((tier for tier, names in tiers.tiers.items() if options.model in names), ""),
        model=model,
        kind=endpoint.kind,
        timeout_s=min(workflow.limits.timeout_s or endpoint.timeout_s, endpoint.timeout_s),
        price=listing.price,
        context_window=listing.context_window,
        estimated_usd=Decimal(0),
    )
    changes = {
        "prompt": options.prompt or default_prompt(options),
        "max_output_tokens": options.max_output_tokens,
        "stop": None,
        "output_schema": None,
    }
    own = workflow.model_copy(update=changes)
    with _placed(place):
        prompt = Prompt(name, own, examples)
    return VerifierModel(options, candidate, own, prompt, place)


def _model_problems(place: str, options: Verifier, tiers: Tiers) -> Iterator[str]:
    model = tiers.models.get(options.model)
    if model is None:
        hint = did_you_mean(options.model, tiers.models)
        yield f"{place}: no model is called {options.model!r}{hint}"
        return
    if model.method != "chat":
        yield f"{place}: {options.model!r} answers by {model.method}; a verdict needs a chat model"
    has_logprobs = provider(tiers.endpoints[model.endpoint].kind).SUPPORTS_LOGPROBS
    if options.score == "log_probability" and not (
        has_logprobs and model.parameters.get("logprobs", True)
    ):
        yield f"{place}: {options.model!r} gives no log-probabilities; write `score: number`"
    own = parameter_problems(model.parameters, is_catalogue_price=model.price.auto)
    yield from (f"models.{options.model}.parameters: {problem}" for problem in own)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Tell of the verifier's prompt where it stands, and not of the workflow's own."""
    try:
        yield
    except PromptError as error:
        file = place.partition(": ")[0]
        raise PromptError(
            text.replace(f"{file}: prompt[", f"{place}.prompt[") for text in error.problems
        ) from error
