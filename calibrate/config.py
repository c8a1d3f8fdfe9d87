"""What to measure, on which models, and the bar to clear: `tiers.yaml` and the workflow files."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from calibrate.fingerprint import json_problem
from calibrate.record import (
    EnvName,
    Money,
    ProjectPath,
    Rate,
    Record,
    Seconds,
    Url,
)

__all__ = [
    "MOST_SAMPLES",
    "Agreement",
    "Bar",
    "Endpoint",
    "InputSimplicity",
    "Limits",
    "Message",
    "Model",
    "NotRefused",
    "Origin",
    "Overrides",
    "PriceRow",
    "SelfReported",
    "Share",
    "Shots",
    "SignalName",
    "SignalOptions",
    "Tiers",
    "Traffic",
    "Verifier",
    "Workflow",
]

MOST_SAMPLES = 20  # of an answer, for one signal


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    problem = json_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


Json = Annotated[dict[str, Any], AfterValidator(_plain_json)]


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

    def tier_of(self, model: str) -> str:
        return next(tier for tier, models in self.tiers.items() if model in models)

    @property
    def baseline_model(self) -> str:
        """The first model of the baseline tier: what one would pay for without routing."""
        return self.tiers[self.baseline][0]


class Message(Record):
    """One message of a prompt; its content is a template over the case."""

    role: Literal["system", "user", "assistant"]
    content: str


class Shots(Record):
    """Messages that stand once for each example, which their templates see as `example`."""

    examples: list[Message] = Field(min_length=1)


def _prompt_item(value: Any) -> str:
    is_shots = isinstance(value, Shots) or (isinstance(value, dict) and "examples" in value)
    return "Shots" if is_shots else "Message"


# Told apart before they are read, so that a mistake in one is not told as a mistake in both.
PromptItem = Annotated[
    Annotated[Message, Tag("Message")] | Annotated[Shots, Tag("Shots")],
    Discriminator(_prompt_item),
]


class Bar(Record):
    """The least that is acceptable: a pass rate, or a mean score."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["pass_rate"]}, {"required": ["mean_score"]}]}
    )

    pass_rate: Rate | None = None
    mean_score: Rate | None = None
    tolerance: float = Field(0.0, ge=0, lt=1)
    of_baseline: Rate | None = None
    confidence: float = Field(0.95, gt=0.5, lt=1)
    critical: Literal["must_pass"] | None = None
    slices: dict[str, Rate] = Field(default_factory=dict)
    latency_p95_s: Seconds | None = None
    cascades: bool = False

    @model_validator(mode="after")
    def _one_positive_floor(self) -> Bar:
        if (self.pass_rate is None) == (self.mean_score is None):
            raise ValueError("give either `pass_rate` or `mean_score`")
        if self.tolerance >= self.least:
            raise ValueError(f"`tolerance` must be smaller than `{self.measure}`")
        return self

    @property
    def measure(self) -> Literal["pass_rate", "mean_score"]:
        """What the bar is about: the share of cases that pass, or their mean score."""
        return "mean_score" if self.pass_rate is None else "pass_rate"

    @property
    def least(self) -> float:
        """The bar itself, before any tolerance."""
        return self.pass_rate or self.mean_score or 0.0

    @property
    def floor(self) -> float:
        """What is tested: a route at or below this must not be certified."""
        return round(self.least - self.tolerance, 12)

    @property
    def alpha(self) -> float:
        return round(1 - self.confidence, 12)


class Limits(Record):
    """What a gateway enforces when it serves the workflow."""

    timeout_s: Seconds | None = None
    budget_usd_per_day: Money | None = None


class Overrides(Record):
    """A person's decision against the evidence, for a while; the policy shows it as such."""

    model: str = Field(description="The candidate that serves the workflow meanwhile.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    reason: str = Field(min_length=1)
    expires: date = Field(description="The last day of its use, in UTC.")


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


def _one_grader(value: Any) -> Any:
    options = list(value.values()) if isinstance(value, dict) else []
    if isinstance(value, str) or (len(options) == 1 and isinstance(options[0], dict | None)):
        return value
    raise ValueError("expected one grader: its name, or its name with a mapping of options")


GraderSpec = Annotated[str | dict[str, dict[str, Any] | None], BeforeValidator(_one_grader)]


class NotRefused(Record):
    """Which phrases mark an answer as a refusal."""

    markers: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None,
        min_length=1,
        description="Phrases by which refusals begin, in place of the built-in ones.",
    )


class SelfReported(Record):
    """Where an answer states the confidence that the prompt asks for."""

    field: str = Field(
        "confidence",
        min_length=1,
        description="The field of a JSON answer (`a.b`: of an object in it), or the word before "
        "the number in a text, like `Confidence: 0.8`.",
    )
    pattern: str | None = Field(
        None,
        min_length=1,
        description="In place of `field`: a regular expression whose first group is the number; "
        "its last match counts.",
    )
    most: float = Field(
        1, gt=0, allow_inf_nan=False, description="The number that stands for certainty."
    )


class Agreement(Record):
    """How often the same model is asked again, and what of its answers is compared."""

    samples: int = Field(3, ge=1, le=MOST_SAMPLES, description="Further answers to each request.")
    temperature: float = Field(0.7, gt=0, le=2, description="The temperature of the samples.")
    pattern: str | None = Field(
        None,
        min_length=1,
        description="What is compared: the first group of this regular expression's last match. "
        "Where omitted: the label, the JSON value, or the text.",
    )


class Verifier(Record):
    """Which model is asked whether an answer is right, and how its verdict is read."""

    model: str = Field(description="A chat model of `tiers.yaml`.")
    prompt: list[Message] | None = Field(
        None,
        min_length=1,
        description="Messages in place of the built-in ones. Templates see `input.question` (what "
        "the model was asked), `input.answer` and `input.case` (the case's own input).",
    )
    score: Literal["log_probability", "number"] = Field(
        "log_probability",
        description="The verdict is a yes or no and its log-probability counts, or it is a number.",
    )
    most: float = Field(
        1, gt=0, allow_inf_nan=False, description="The number that stands for certainly right."
    )
    max_output_tokens: int = Field(8, ge=1, le=4096)


class InputSimplicity(Record):
    """The score of an input's features; fit it on other cases than those that it routes."""

    weights: dict[str, Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None,
        min_length=1,
        description="How much each feature takes off; all of them the same where omitted.",
    )
    intercept: float = Field(1, allow_inf_nan=False)


SignalName = Literal[
    "answer_logprob",
    "first_token_margin",
    "label_margin",
    "valid_format",
    "finished",
    "not_refused",
    "answer_brevity",
    "self_reported",
    "agreement",
    "verifier",
    "input_brevity",
    "input_simplicity",
]


class SignalOptions(Record):
    """One signal with its options."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    not_refused: NotRefused | None = None
    self_reported: SelfReported | None = None
    agreement: Agreement | None = None
    verifier: Verifier | None = None
    input_simplicity: InputSimplicity | None = None

    @property
    def name(self) -> str:
        (name,) = self.model_fields_set
        return name


def _one_signal(value: Any) -> Any:
    if isinstance(value, str | SignalOptions) or (isinstance(value, dict) and len(value) == 1):
        if value in ("verifier", {"verifier": None}):
            raise ValueError("which model verifies? write `verifier: {model: …}`")
        return value
    raise ValueError("expected one signal: its name, or its name with a mapping of options")


# Told apart before they are read, so that a mistake in one is not told as a mistake in both.
SignalSpec = Annotated[
    Annotated[SignalName, Tag("name")] | Annotated[SignalOptions, Tag("SignalOptions")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "SignalOptions"),
    BeforeValidator(_one_signal),
]


def _signals_once(specs: list[Any]) -> list[Any]:
    names = [spec if isinstance(spec, str) else spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: named twice")
    return specs


class Workflow(Record):
    """`evals/<workflow>.yaml`: one LLM task of a product."""

    version: Literal[1]
    description: str = ""
    dataset: ProjectPath
    prompt: list[PromptItem] = Field(min_length=1)
    max_output_tokens: int = Field(ge=1, le=1_000_000)
    stop: list[str] | None = Field(None, min_length=1, max_length=4)
    output_schema: Json | None = None
    labels: list[str] | None = Field(None, min_length=2)
    examples: ProjectPath | None = None
    graders: list[GraderSpec] = Field(min_length=1)
    score: Literal["worst", "mean"] = "worst"  # of several graders, which counts
    signals: Annotated[list[SignalSpec], AfterValidator(_signals_once)] | None = Field(
        None,
        description="What is noted of each answer for routing; where omitted, all that is free.",
    )
    bar: Bar
    tiers: list[str] | None = Field(None, min_length=1)
    repeats: int = Field(1, ge=1, le=100)
    seed: int = 0
    traffic: Traffic | None = None
    limits: Limits = Limits()
    overrides: Overrides | None = None
    max_usd: Money | None = None

    @model_validator(mode="after")
    def _one_answer_to_escalate(self) -> Workflow:
        if self.bar.cascades and self.repeats > 1:
            raise ValueError("`bar.cascades` needs `repeats: 1`: a request is escalated once")
        return self

    @model_validator(mode="after")
    def _a_format_to_be_valid_in(self) -> Workflow:
        if "valid_format" in (self.signals or ()) and not (self.labels or self.output_schema):
            raise ValueError("`signals`: valid_format needs `labels` or `output_schema`")
        return self
