"""A case and a workflow to the messages of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import do_indent
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from calibrate.completion import ChatMessage
from calibrate.config import Message, Shots, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import PromptError

__all__ = ["Prompt", "input_text"]

MAX_PROMPT_CHARACTERS = 16 * 1024 * 1024
MAX_INDENT = 100
# Each can make a text of any length from a number, before its length could be looked at.
_EXPLODING = frozenset(["format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs"])
_GLOBALS = ("dict", "namespace", "range")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Templates see values and filters; no internals, no changes, no exploding arithmetic."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        plain = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not plain:
            raise SecurityError(f"`{operator}` on these values is not allowed in a prompt")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Prefer a field of the case: `input.items` is what the case says, not Python's method."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, str) and attribute in _EXPLODING:
            return self.unsafe_undefined(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Take `'x'['format']` for what it is to Jinja: `'x'.format`."""
        if isinstance(obj, str) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)


def _written(value: Any) -> Any:
    """Refuse what is written as an address, another one in each process."""
    if callable(value) and not isinstance(value, Undefined):
        raise SecurityError("a function cannot be written; name a field, or call it with `()`")
    if isinstance(value, Iterator):
        raise SecurityError("a sequence cannot be written; end it in `| list` or `| join(', ')`")
    return value


def _indent(text: str, width: Any = 4, first: bool = False, blank: bool = False) -> str:
    if not isinstance(width, int) or not 0 <= width <= MAX_INDENT:
        raise SecurityError(f"`indent` takes a width of 0 to {MAX_INDENT}")
    return do_indent(text, width, first, blank)


def _to_json(value: Any, indent: int | None = None) -> str:
    """Show a value as a model should write it: keys in their own order, no HTML escapes."""
    if indent is not None and not 0 <= indent <= MAX_INDENT:
        raise SecurityError(f"`tojson` takes an indent of 0 to {MAX_INDENT}")
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _environment() -> _Sandbox:
    # Prompts are plain text for a model, not HTML: escaping would change what is asked.
    sandbox = _Sandbox(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_written
    )
    sandbox.globals = {name: sandbox.globals[name] for name in _GLOBALS}
    for name in ("batch", "center", "format", "random", "slice"):
        del sandbox.filters[name]
    sandbox.filters |= {"indent": _indent, "tojson": _to_json}
    return sandbox


class Prompt:
    """A workflow's messages as compiled templates."""

    def __init__(self, name: str, workflow: Workflow, examples: Sequence[Example] = ()) -> None:
        self._sandbox = _environment()
        self._examples = [{"input": e.input, "expected": e.expected} for e in examples]
        self._labels = list(workflow.labels or ())
        self._rendered: dict[str, tuple[ChatMessage, ...]] = {}
        self._parts: list[_Part | tuple[ChatMessage, ...]] = []
        problems: list[str] = []
        for index, item in enumerate(workflow.prompt):
            place = f"evals/{name}.yaml: prompt[{index}]"
            try:
                if isinstance(item, Shots):
                    self._parts.append(self._shots(place, item))
                else:
                    part = self._compiled(place, item)
                    self._parts.append(self._unvaried(part, item.content) or part)
            except PromptError as error:
                problems += error.problems
        if problems:
            raise PromptError(problems)

    def messages(self, case: Case) -> tuple[ChatMessage, ...]:
        """Return the prompt for one case, the same messages for all models.

        Raises `PromptError` naming each message that cannot be rendered, and the case.
        """
        if case.id not in self._rendered:
            self._rendered[case.id] = self.render(case)
        return self._rendered[case.id]

    def render(self, case: Case) -> tuple[ChatMessage, ...]:
        """Return the messages for a case that nobody else asks about, and keep none of them."""
        variables = {
            "examples": self._examples,
            "labels": self._labels,
            "input": case.input,
            "id": case.id,
            "tags": case.tags,
        }
        rendered: list[ChatMessage] = []
        problems: list[str] = []
        for part in self._parts:
            try:
                rendered += part if isinstance(part, tuple) else [part.message(variables)]
            except PromptError as error:
                problems += [f"{text} (case {case.id!r})" for text in error.problems]
        if problems:
            raise PromptError(problems)
        return tuple(rendered)

    def _shots(self, place: str, item: Shots) -> tuple[ChatMessage, ...]:
        """Render the examples' messages: they are the same for every case."""
        if not self._examples:
            raise PromptError(f"{place}: needs `examples: FILE` in the workflow")
        parts = [
            self._compiled(f"{place}.examples[{index}]", message)
            for index, message in enumerate(item.examples)
        ]
        return tuple(
            part.message({"labels": self._labels, "example": example})
            for example in self._examples
            for part in parts
        )

    def _unvaried(self, part: _Part, content: str) -> tuple[ChatMessage, ...] | None:
        """Render a message that is the same for every case; None for one that is not."""
        shared = {"examples": self._examples, "labels": self._labels}
        if not find_undeclared_variables(self._sandbox.parse(content)) <= shared.keys():
            return None
        try:
            return (part.message(shared),)
        except PromptError:  # told with the case, as any other
            return None

    def _compiled(self, place: str, message: Message) -> _Part:
        try:
            return _Part(place, message.role, self._sandbox.from_string(message.content))
        except TemplateSyntaxError as error:
            raise PromptError(f"{place}: line {error.lineno}: {error.message}") from error
        except Exception as error:  # compiling hostile text may raise anything
            raise PromptError(f"{place}: {_said(error)}") from error


@dataclass(frozen=True, slots=True)
class _Part:
    """One message as a template, and where it stands in the workflow file."""

    place: str
    role: str
    template: Template

    def message(self, variables: dict[str, Any]) -> ChatMessage:
        try:
            return ChatMessage(self.role, _rendered(self.template, variables))
        except UndefinedError as error:
            known = ", ".join(f"`{name}`" for name in _known(variables))
            raise PromptError(f"{self.place}: {error.message}; known: {known}") from error
        except Exception as error:  # a template is foreign code: it may raise anything
            raise PromptError(f"{self.place}: {_said(error)}") from error


def input_text(value: Any) -> str:
    """Return a case's input as one text, for an embeddings model: the values, one a line."""
    if isinstance(value, str):
        return value
    return "\n".join(item if isinstance(item, str) else str(item) for item in value.values())


def _rendered(template: Template, variables: dict[str, Any]) -> str:
    """Render piece by piece, so that a loop without end is stopped by what it has written."""
    pieces, length = [], 0
    for piece in template.generate(variables):
        length += len(piece)
        if length > MAX_PROMPT_CHARACTERS:
            raise SecurityError(f"over {MAX_PROMPT_CHARACTERS:,} characters")
        pieces.append(piece)
    return "".join(pieces)


def _said(error: Exception) -> str:
    known = isinstance(error, TemplateError | OverflowError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _known(variables: dict[str, Any]) -> list[str]:
    fields = variables.get("input")
    inner = [f"input.{key}" for key in fields] if isinstance(fields, dict) else []
    return [*(name for name in variables if name != "input" or not inner), *inner]
