"""`evals/tiers.yaml`: where models are asked, what they cost, and which are cheaper."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from calibrate.config.plain_json import Json
from calibrate.record import EnvName, Money, ProjectPath, Record, Url

__all__ = ["Endpoint", "Model", "Origin", "PriceRow", "Tiers"]


class Endpoint(Record):
    """Where models are asked, and how fast."""

    kind: str
    base_url: Url | None = None
    api_key_env: EnvName | None = None
    concurrency: int = Field(16, ge=1, le=4096)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    timeout_s: float = Field(60, gt=0, le=3600)


class PriceRow(Record):
    """What a model costs: by the token, or by the hour of a machine that serves it."""

    auto: SkipJsonSchema[bool] = Field(False, exclude=True)  # written as `price: auto`
    input_usd_per_mtok: Money | None = None
    output_usd_per_mtok: Money = Decimal(0)
    cached_input_usd_per_mtok: Money | None = None
    cache_write_usd_per_mtok: Money | None = None
    usd_per_hour: Money | None = None
    concurrency: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_basis(self) -> PriceRow:
        if self.auto:
            return self
        if (self.input_usd_per_mtok is None) == (self.usd_per_hour is None):
            raise ValueError("give either `input_usd_per_mtok` or `usd_per_hour`")
        if self.usd_per_hour is not None and not self.model_fields_set.isdisjoint(_BY_TOKEN):
            raise ValueError("a price is by the hour or by the token, not both")
        return self


_BY_TOKEN = ("output_usd_per_mtok", "cached_input_usd_per_mtok", "cache_write_usd_per_mtok")
_PRICES = ["auto", {"input_usd_per_mtok": 0.25, "output_usd_per_mtok": 2.0}, {"usd_per_hour": 1.2}]


def _price_row(value: Any) -> Any:
    if value == "auto":
        return {"auto": True}
    if not isinstance(value, dict | PriceRow):
        raise ValueError(
            "expected `auto`, {input_usd_per_mtok: …, output_usd_per_mtok: …} or {usd_per_hour: …}"
        )
    return value


class Origin(Record):
    """Where self-hosted weights came from; shown in the policy and the report."""

    verified: bool
    note: str


class Model(Record):
    """An endpoint, a provider's model name, parameters and a price."""

    endpoint: str
    name: str = Field(min_length=1)
    price: Annotated[
        PriceRow,
        BeforeValidator(_price_row, json_schema_input_type=Literal["auto"] | PriceRow),
        Field(examples=_PRICES),
    ]
    method: Literal["chat", "nearest_example"] = "chat"
    context_window: int | None = Field(None, ge=1)
    parameters: Json = Field(default_factory=dict)
    origin: Origin | None = None

    @model_validator(mode="after")
    def _answers_have_a_price(self) -> Model:
        row, key = self.price, "output_usd_per_mtok"
        by_token = row.input_usd_per_mtok is not None
        if self.method == "chat" and by_token and key not in row.model_fields_set:
            raise ValueError(f"`price` has no `{key}` (0 where answers are free)")
        return self


class Tiers(Record):
    """`evals/tiers.yaml`: endpoints, models, tiers cheapest first, baseline."""

    version: Literal[1]
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    recordings: ProjectPath | None = None
    models: dict[str, Model] = Field(min_length=1)
    tiers: dict[str, list[str]] = Field(min_length=1)
    baseline: str
    default_route: str | None = Field(
        None, description="The workflow whose route serves names that no workflow has."
    )

    @property
    def baseline_model(self) -> str:
        """The first model of the baseline tier: what one would pay for without routing."""
        return self.tiers[self.baseline][0]
