"""What `plan` says about the prompt caching of a workflow's providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from calibrate.prompt_caching import Caching, PromptCaching, Repetition

__all__ = ["caching_json", "caching_lines"]

_MANY = 1_024  # identical tokens in each prompt: fewer are not worth a line
_SOME = 128  # identical tokens behind what changes: fewer are not worth a move
_REMEDY = {  # whether the provider does so without a word in the request
    True: "`parameters: {prompt_cache_options: {mode: explicit}}` stops that",
    False: "remove `cache_control` from its parameters",
}


def caching_lines(found: Mapping[str, PromptCaching]) -> Iterator[str]:
    """Yield what a reader should know of it, by the candidates' names; nothing of short prompts."""
    said: set[Repetition] = set()
    for alias, one in found.items():
        same = one.repetition
        is_long = same.at_start + same.elsewhere >= _MANY
        if is_long and same not in said:
            said.add(same)
            yield from _repetition(same)
        if is_long or one.caching is Caching.WRITES_ONLY:
            yield from _of_model(alias, one)


def caching_json(found: PromptCaching | None) -> dict[str, Any] | None:
    """Return the same facts for `plan --json`; None where no token of a chat is paid for."""
    if found is None:
        return None
    return {
        "caching": found.caching.value,
        "input_tokens": found.repetition.tokens,
        "same_at_start": found.repetition.at_start,
        "same_elsewhere": found.repetition.elsewhere,
        "input_usd_per_mtok": float(found.rates.input_usd_per_mtok),
        "cached_input_usd_per_mtok": float(found.rates.cache_read_rate),
        "cache_write_usd_per_mtok": float(found.rates.cache_write_rate),
    }


def _repetition(same: Repetition) -> Iterator[str]:
    yield (
        f"about {same.at_start:,} of {same.tokens:,} input tokens are the same at the start of "
        "every prompt"
    )
    if same.elsewhere >= _SOME:
        yield (
            f"warning: {same.elsewhere:,} more are the same but stand behind a part that changes, "
            "where no cache can give them: move the static part first"
        )


def _of_model(alias: str, one: PromptCaching) -> Iterator[str]:
    rates = one.rates
    reads = f"at {_usd(rates.cache_read_rate)} instead of {_usd(rates.input_usd_per_mtok)}"
    reads += " a million"
    has_rate = rates.cached_input_usd_per_mtok is not None
    match one.caching:
        case Caching.AUTOMATIC if has_rate:
            yield f"{alias}: the provider's prompt caching reads them {reads}"
        case Caching.AUTOMATIC:
            yield (
                f"{alias}: the provider caches prompts, but the price has no "
                "`cached_input_usd_per_mtok`: they are counted in full"
            )
        case Caching.POSSIBLE:
            yield (
                f"{alias}: the provider's prompt caching begins at {one.least_tokens:,} to "
                f"{one.most_tokens:,} tokens, depending on the model; then it reads them {reads}"
            )
        case Caching.TOO_SHORT:
            yield (
                f"warning: {alias}: the provider's prompt caching does not apply: it begins at "
                f"{one.least_tokens:,} tokens that are the same at the start"
            )
        case Caching.MARKED_ONLY:
            yield (
                f"warning: {alias}: the provider caches only what a request marks, and calibrate "
                f"marks nothing; a product that does reads them {reads}"
            )
        case Caching.WRITES_ONLY:
            yield (
                f"warning: {alias}: the provider stores every prompt whole, at "
                f"{_usd(rates.cache_write_rate)} instead of {_usd(rates.input_usd_per_mtok)} a "
                f"million, and reads only whole ones again; {_REMEDY[one.is_automatic]}"
            )
        case Caching.UNKNOWN if has_rate:
            yield f"{alias}: where the server caches prompts, it reads them {reads}"


def _usd(rate: Decimal) -> str:
    return f"${float(rate):g}"
