"""How much a workflow is used, for what its routes will cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, WithJsonSchema

from calibrate.record import Money, Record

__all__ = ["Share", "Traffic"]

Share = Annotated[
    Money, Field(le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]


class Traffic(Record):
    """How much the workflow is used, and what is known of its requests; the rest is measured."""

    requests_per_day: int = Field(ge=0, le=10**15)
    input_tokens: int | None = Field(
        None, ge=0, le=10**9, description="Of a request to a chat model, on average."
    )
    output_tokens: int | None = Field(
        None, ge=0, le=10**9, description="Of a chat model's answer, on average."
    )
    cached_share: Share | None = Field(
        None,
        description="The share of the input tokens that a provider's prompt cache gives; where "
        "omitted, as measured, and none where a size is stated.",
    )
    batch_share: Share = Field(
        Decimal(0), description="The share of the requests that can wait, and are sent in batches."
    )
