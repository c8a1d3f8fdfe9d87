"""How much of a workflow's prompts is the same each time, and what a provider's cache saves on it.

Tokens are counted by the pure formula, so every number here is an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from calibrate.candidates import Candidate
from calibrate.completion import CHARACTERS_PER_TOKEN, ChatMessage, estimated_tokens
from calibrate.config import Model
from calibrate.pricing import TokenPrice, rates_at

__all__ = ["Caching", "PromptCaching", "Repetition", "prompt_caching", "repetition"]

_SYSTEM_FIRST = frozenset(["anthropic", "gemini"])  # wherever the workflow puts it


class Caching(StrEnum):
    """What becomes of the same beginning of every prompt."""

    AUTOMATIC = "automatic"  # the provider reads it from its cache
    POSSIBLE = "possible"  # the same, but with some of the provider's models only
    TOO_SHORT = "too_short"  # it is billed in full: the provider caches nothing so short
    MARKED_ONLY = "marked_only"  # in full: the provider caches what a request marks, ours do not
    WRITES_ONLY = "writes_only"  # the provider stores each prompt whole, and bills that
    UNKNOWN = "unknown"  # nothing is documented for this address


@dataclass(frozen=True, slots=True)
class Repetition:
    """How much of the prompts of one workflow is the same for every case, in tokens."""

    tokens: int  # of a prompt, on average
    at_start: int  # the same at the start of every prompt: what a cache can give
    elsewhere: int  # the same in every prompt, but behind what changes


@dataclass(frozen=True, slots=True)
class PromptCaching:
    """What one candidate's provider makes of the repetition, and at what rates."""

    repetition: Repetition
    caching: Caching
    rates: TokenPrice
    least_tokens: int = 0  # what a beginning must have, with the model that asks for least
    most_tokens: int = 0  # and with the one that asks for most
    is_automatic: bool = True  # as the provider has it, without a word in the request


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a provider documents about the caching of prompts at its own address."""

    host: str
    least_tokens: int
    most_tokens: int
    is_automatic: bool = True
    has_breakpoints: bool = False  # its newer models store a prompt up to its end, and bill it


_RULES = (
    # https://developers.openai.com/api/docs/guides/prompt-caching
    _Rule("api.openai.com", 1_024, 1_024, has_breakpoints=True),
    # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/prompt-caching
    _Rule("openai.azure.com", 1_024, 1_024, has_breakpoints=True),
    # https://ai.google.dev/gemini-api/docs/caching
    _Rule("generativelanguage.googleapis.com", 2_048, 4_096),
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    _Rule("api.anthropic.com", 512, 4_096, is_automatic=False),
)


def repetition(kind: str, prompts: Sequence[tuple[ChatMessage, ...]]) -> Repetition:
    """Return how much of these prompts is the same, in the order in which a provider sends them.

    The prompts are one workflow's: as many messages each. Of fewer than two nothing is the same.
    """
    if len(prompts) < 2:
        return Repetition(_mean_tokens(prompts), 0, 0)
    at_start: list[str] = []
    elsewhere: list[str] = []
    has_changed = False
    for column in zip(*(_as_sent(kind, messages) for messages in prompts), strict=True):
        start, end = _same_ends([message.content for message in column])
        (elsewhere if has_changed else at_start).append(start)
        if end is not None:
            has_changed = True
            elsewhere.append(end)
    return Repetition(
        tokens=_mean_tokens(prompts),
        at_start=estimated_tokens([text for text in at_start if text]),
        elsewhere=sum(map(len, elsewhere)) // CHARACTERS_PER_TOKEN,
    )


def prompt_caching(candidate: Candidate, base_url: str, found: Repetition) -> PromptCaching | None:
    """Return what a candidate's provider makes of it; None where no token of a chat is paid for."""
    rates = rates_at(candidate.price, found.tokens)
    if rates is None or candidate.model.method != "chat":
        return None
    rule = _rule_of(base_url)
    if rule is None:
        return PromptCaching(found, Caching.UNKNOWN, rates)
    caching = _caching(candidate.model, rates, rule, found)
    return PromptCaching(
        found, caching, rates, rule.least_tokens, rule.most_tokens, rule.is_automatic
    )


def _caching(model: Model, rates: TokenPrice, rule: _Rule, found: Repetition) -> Caching:
    # From GPT-5.6 on, OpenAI bills what it stores, which is a prompt up to the end of its last
    # message, and finds again only what is the same up to there.
    bills_writes = rates.cache_write_rate > rates.input_usd_per_mtok
    if not rule.is_automatic or (rule.has_breakpoints and bills_writes):
        stores = _stores(model, rule) and found.tokens >= rule.least_tokens
        return Caching.WRITES_ONLY if stores else Caching.MARKED_ONLY
    if found.at_start >= rule.most_tokens:
        return Caching.AUTOMATIC
    return Caching.POSSIBLE if found.at_start >= rule.least_tokens else Caching.TOO_SHORT


def _stores(model: Model, rule: _Rule) -> bool:
    """Return whether the project's parameters let every prompt be stored to its end."""
    if not rule.is_automatic:
        return "cache_control" in model.parameters
    options = model.parameters.get("prompt_cache_options")
    return not (isinstance(options, dict) and options.get("mode") == "explicit")


def _rule_of(base_url: str) -> _Rule | None:
    host = urlsplit(base_url).hostname or ""
    return next(
        (rule for rule in _RULES if host == rule.host or host.endswith("." + rule.host)), None
    )


def _as_sent(kind: str, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    if kind not in _SYSTEM_FIRST:
        return messages
    return sorted(messages, key=lambda message: message.role != "system")


def _same_ends(texts: list[str]) -> tuple[str, str | None]:
    """Return the beginning and the end that all texts share; no end where they are the same."""
    if all(text == texts[0] for text in texts):
        return texts[0], None
    start = _same_start(texts)
    return start, _same_start([text[len(start) :][::-1] for text in texts])[::-1]


def _same_start(texts: list[str]) -> str:
    """Return the beginning of the first and the last in the order of the alphabet: it is all's."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((index for index, (one, other) in pairs if one != other), len(first))]


def _mean_tokens(prompts: Sequence[tuple[ChatMessage, ...]]) -> int:
    totals = [estimated_tokens([message.content for message in messages]) for messages in prompts]
    return round(sum(totals) / max(len(totals), 1))
