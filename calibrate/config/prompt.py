"""The messages of a prompt, and those that stand once for each example."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from calibrate.record import Record

__all__ = ["Message", "PromptItem", "Shots"]


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
