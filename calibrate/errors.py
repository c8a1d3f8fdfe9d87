"""Every error that a user can meet.

    CalibrateError            something the user can mend; the message says where, what and how
    ├── UsageError            the command line
    ├── ConfigError           tiers.yaml or a workflow file
    ├── DatasetError          golden cases or examples
    ├── PromptError           a prompt's template
    ├── GraderError           a grader's options, or a grader that cannot judge
    ├── PluginError           a name that no table and no entry point knows
    ├── PriceError            a model whose price cannot be found
    ├── ProviderError         an endpoint: unreachable, refusing, or not what it was said to be
    ├── CacheError            the answer cache or a recording
    ├── CacheMiss             an answer that is not recorded, and asking was not allowed
    ├── ModelMoved            an alias that came to stand for another model during a run
    ├── BudgetError           the spending cap is reached
    ├── PolicyError           routing-policy.yaml
    └── OutputError           a file or folder that cannot be written

All of them end a command with exit status 2: there is no answer. "The answer is no" is a result
and not an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")

# Shapes of keys that people paste by mistake. A word like `task-management` is none.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk[-_][A-Za-z0-9_-]{16,}|(?:gsk|pplx|xai|r8|hf)[-_][A-Za-z0-9]{20,}|AIza[A-Za-z0-9_-]{30,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|AKIA[A-Z0-9]{16}"
    r"|xox[bp]-[A-Za-z0-9-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_.-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)


class CalibrateError(Exception):
    """Something that the user can mend; `problems` holds one line for each thing to mend."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        lines = (problems,) if isinstance(problems, str) else problems
        # Whatever a message quotes, a key that was pasted somewhere must not reach a screen or log.
        self.problems = tuple(_SECRET.sub("[key]", line) for line in lines)
        super().__init__("\n".join(self.problems))


class UsageError(CalibrateError):
    """The command line asks for something that does not exist."""


class ConfigError(CalibrateError):
    """A tiers or workflow file says something that cannot be used."""


class DatasetError(CalibrateError):
    """Golden cases or examples that cannot be used."""


class PromptError(CalibrateError):
    """A prompt template that cannot be rendered."""


class GraderError(CalibrateError):
    """A grader with wrong options, or one that cannot judge an answer."""


class PluginError(CalibrateError):
    """A name that is neither built in nor installed."""


class PriceError(CalibrateError):
    """A model whose price cannot be found."""


class ProviderError(CalibrateError):
    """An endpoint that cannot be asked at all, whatever the case."""


class CacheError(CalibrateError):
    """An answer cache or a recording that cannot be read or written."""


class CacheMiss(CalibrateError):
    """An answer that is not recorded while asking is not allowed."""


class ModelMoved(CalibrateError):
    """A model is served under another name than the one that has answered in this run."""


class BudgetError(CalibrateError):
    """The next request could pass the spending cap."""


class PolicyError(CalibrateError):
    """A routing policy that cannot be read, trusted or followed."""


class OutputError(CalibrateError):
    """A file or folder that cannot be written."""


def looks_like_key(text: str) -> bool:
    """Return whether a text holds what looks like an API key or a private key."""
    return _SECRET.search(text) is not None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` where a known name is close, else nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def gather(problems: list[str], load: Callable[[], T]) -> T | None:
    """Return what `load` gives, or None with its problems added to the list.

    For reading several things that are told of together when more than one is wrong.
    """
    try:
        return load()
    except CalibrateError as error:
        problems.extend(error.problems)
        return None
