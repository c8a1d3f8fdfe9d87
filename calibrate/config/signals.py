"""Which signals are noted of an answer, each with its options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from calibrate.config.prompt import Message
from calibrate.record import Record

__all__ = [
    "MOST_SAMPLES",
    "Agreement",
    "InputSimplicity",
    "NotRefused",
    "SelfReported",
    "SignalName",
    "SignalOptions",
    "SignalSpecs",
    "Verifier",
]

MOST_SAMPLES = 20  # of an answer, for one signal


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
    """The score of an input's features: its weights are given, or fitted for each cheap model."""

    weights: dict[str, Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None,
        min_length=1,
        description="How much each feature takes off; all of them the same where omitted.",
    )
    intercept: float = Field(1, allow_inf_nan=False)
    fit: bool = Field(
        False,
        description="Fit weights and intercept to each model's own scores, on a share of the cases "
        "(by the seed; one group or text never on both sides). Cascades that go by it are "
        "certified on the other cases alone.",
    )
    share: float = Field(0.3, gt=0, lt=1, description="The share of the cases to fit on.")

    @model_validator(mode="after")
    def _given_or_fitted(self) -> InputSimplicity:
        if self.fit and not self.model_fields_set.isdisjoint({"weights", "intercept"}):
            raise ValueError("`weights` and `intercept` are given or fitted, not both")
        if not self.fit and "share" in self.model_fields_set:
            raise ValueError("`share` is that of the cases to fit on: it needs `fit: true`")
        return self


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


SignalSpecs = Annotated[list[SignalSpec], AfterValidator(_signals_once)]
