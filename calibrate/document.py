"""One YAML document that still knows the line of every value, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from calibrate.errors import CalibrateError, ConfigError

__all__ = ["Document", "load_document", "read_text"]

MAX_BYTES = 8 * 1024 * 1024
MAX_NODES = 500_000  # what aliases may expand a document to: an anchor bomb is refused
MAX_DEPTH = 100  # libyaml's own composer recurses, and deep nesting would end the process
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML document that still knows the line of every value."""

    place: str
    value: Any
    root: yaml.Node | None

    def line(self, path: Sequence[str | int]) -> int | None:
        """Return the line of the deepest part of `path` that exists, or None when empty."""
        node, line = self.root, None if self.root is None else self.root.start_mark.line + 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line

    def at(self, path: Sequence[str | int], text: str) -> str:
        """Return `file:line: path: text`, the way every problem is worded."""
        line = self.line(path)
        return f"{self.place}{f':{line}' if line else ''}: {dotted(path)}{text}"


def dotted(path: Sequence[str | int]) -> str:
    """Return `a.b[0]: ` for a path, nothing for the empty one."""
    if not path:
        return ""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".") + ": "


def read_text(
    path: Path, error: type[CalibrateError] = ConfigError, place: str | None = None
) -> str:
    """Return a small text file's content; raises `error` where that is impossible."""
    place = str(path) if place is None else place
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{place}: no such file") from None
    except OSError as problem:
        raise error(f"{place}: cannot be read: {problem.strerror}") from problem
    if len(raw) > MAX_BYTES:
        raise error(f"{place}: over {MAX_BYTES:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise error(f"{place}:{line}: not UTF-8; save the file as UTF-8") from problem


def load_document(place: str, text: str, error: type[CalibrateError] = ConfigError) -> Document:
    """Parse one YAML document; duplicate keys, odd tags and alias bombs are refused."""
    try:
        _refuse_depth(place, text, error)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise error(f"{place}{line}: not YAML: {problem.problem or problem.context}") from problem
    except yaml.reader.ReaderError as problem:
        line = f":{text[: problem.position].count(chr(10)) + 1}"
        raise error(f"{place}{line}: not YAML: {problem.reason}") from problem
    if root is None:
        return Document(place, None, None)
    problems = list(_structural_problems(place, root))
    if problems:
        raise error(problems)
    constructor = yaml.SafeLoader("")
    try:
        value = constructor.construct_document(root)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise error(f"{place}{line}: {problem.problem}") from problem
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as problem:
        # PyYAML lets anything out for an explicit tag that its text does not fit.
        raise error(f"{place}: a value does not fit its YAML type: {problem}") from problem
    return Document(place, value, root)


def _refuse_depth(place: str, text: str, error: type[CalibrateError]) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark: Any = event.start_mark
            raise error(f"{place}:{mark.line + 1}: nested more than {MAX_DEPTH} levels deep")


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


def _structural_problems(place: str, root: yaml.Node) -> Iterator[str]:
    """Walk the node tree with aliases expanded; name duplicate keys and an explosion."""
    count, stack = 0, [(root, frozenset[int]())]
    reported: set[int] = set()
    while stack:
        node, above = stack.pop()
        count += 1
        if count > MAX_NODES:
            yield f"{place}: more than {MAX_NODES:,} values once its aliases are expanded"
            return
        if id(node) in above:
            yield f"{place}:{node.start_mark.line + 1}: an alias that contains itself"
            return
        inside = above | {id(node)} if isinstance(node, yaml.CollectionNode) else above
        if isinstance(node, yaml.MappingNode):
            if id(node) not in reported:
                reported.add(id(node))
                yield from _duplicate_keys(place, node)
            stack += [(child, inside) for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            stack += [(child, inside) for child in node.value]


def _duplicate_keys(place: str, node: yaml.MappingNode) -> Iterator[str]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield f"{place}:{line}: a key must be plain text"
        elif key.value in first:
            yield f"{place}:{line}: key {key.value!r} was given on line {first[key.value]} already"
        else:
            first[key.value] = line
