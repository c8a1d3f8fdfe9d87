"""Requests put together to batches, none larger than its server takes or its results allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from calibrate.batches.api import BatchApi
from calibrate.batches.exchange import RESULTS_BYTES
from calibrate.completion import Request
from calibrate.methods import Ask

__all__ = ["Parcel", "custom_id", "parcels"]

_LONGEST_ID = "0" * 24  # a tag, a hyphen, and the number of a request
# How large a result can be: what stands around it, each token with its log-probabilities and the
# alternatives, a vector of 3,072 numbers. More than fits into one download could not be fetched.
_AROUND, _TOKEN, _TOKEN_WITH_LOGPROBS, _VECTOR = 2_000, 16, 700, 80_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """Requests to one model that may go into one batch."""

    asks: tuple[Ask, ...]
    target: str


def custom_id(tag: str, number: int) -> str:
    """Return what a request is called in a batch: no two batches have one in common."""
    return f"{tag}-{number}"


def parcels(
    asks: Iterable[Ask], api: BatchApi, base_url: str, *, most_requests: int | None = None
) -> list[Parcel]:
    """Return the parcels of requests to one endpoint, in their order."""
    groups: dict[tuple[str, str], list[Ask]] = {}
    for ask in asks:
        groups.setdefault((ask.request.name, api.target(ask.request)), []).append(ask)
    most = min(most_requests or api.MOST_REQUESTS, api.MOST_REQUESTS)
    return [
        Parcel(tuple(some), target)
        for (_, target), group in groups.items()
        for some in _split(group, api, base_url, most)
    ]


def _split(asks: Sequence[Ask], api: BatchApi, base_url: str, most: int) -> Iterator[list[Ask]]:
    some: list[Ask] = []
    up = down = 0
    for ask in asks:
        # A comma or line break between two, and what stands around all of them.
        size = len(api.row(ask.request, base_url, _LONGEST_ID)) + 2
        result = _most_result_bytes(ask.request)
        is_full = up + size > api.MOST_BYTES - 4_096 or down + result > RESULTS_BYTES
        if some and (is_full or len(some) == most):
            yield some
            some, up, down = [], 0, 0
        some.append(ask)
        up, down = up + size, down + result
    yield some


def _most_result_bytes(request: Request) -> int:
    if request.input is not None:
        return _AROUND + _VECTOR
    each = _TOKEN_WITH_LOGPROBS if request.logprobs else _TOKEN
    return _AROUND + each * int(request.parameters.get("max_output_tokens", 0))
