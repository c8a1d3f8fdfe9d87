"""A policy to its file: the same evidence, the same bytes, and nobody else's entry touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from calibrate.document import Document, load_document, read_text
from calibrate.errors import PolicyError
from calibrate.files import replace_file
from calibrate.policy.loading import Policy, Routes, load_policy, parse_policy
from calibrate.policy.locking import locked
from calibrate.policy.records import RoutedWorkflow, plain

__all__ = ["dump_policy", "dump_routes", "update_policy", "write_policy"]

_SECTIONS = ("models", "workflows")


def dump_policy(policy: Policy) -> str:
    """Return the policy as YAML: the same evidence, the same bytes."""
    return _yaml(plain(policy))


def dump_routes(policy: Routes) -> str:
    """Return the routes as JSON for `load_routes`: all but the evidence, in one line."""
    entries = {
        name: RoutedWorkflow(**{f.name: getattr(entry, f.name) for f in fields(RoutedWorkflow)})
        for name, entry in policy.workflows.items()
    }
    routes = Routes(
        policy.version,
        policy.generated_by,
        default=policy.default,
        models=policy.models,
        workflows=entries,
    )
    return _json(routes)


def write_policy(path: Path, policy: Policy) -> None:
    """Replace the file at once: a reader sees the old policy or the new one, never half.

    A file whose name ends in `.json` is JSON, any other YAML.
    """
    text = _json(policy) if _is_json(path) else dump_policy(policy)
    replace_file(path, text.encode())


def update_policy(path: Path, change: Callable[[Policy], Policy]) -> Policy:
    """Change the policy that stands in the file by now, and return what it has become.

    `change` gets the file as it is, an empty policy where there is none. While it works no other
    process writes, so that runs at the same time don't lose each other's entries. The text of
    entries that it leaves as they are stays as it is, comments and all.
    """
    with locked(path):
        if _is_json(path) or not path.exists():
            before = load_policy(path) if path.exists() else Policy(1, "")
            after = change(before)
            write_policy(path, after)
            return after
        text = read_text(path, PolicyError)
        document = load_document(str(path), text, PolicyError)
        before = parse_policy(document)
        after = change(before)
        replace_file(path, _spliced(text, document, before, after).encode())
        return after


def _is_json(path: Path) -> bool:
    return path.suffix == ".json"


def _json(routes: Routes) -> str:
    found = json.dumps(plain(routes), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return found + "\n"


def _spliced(text: str, document: Document, before: Policy, after: Policy) -> str:
    """Return the policy's text with that of the entries which did not change."""
    parts = [_yaml(plain(replace(after, models={}, workflows={})))]
    for section in _SECTIONS:
        old, new = getattr(before, section), getattr(after, section)
        kept = dict(_entry_texts(text, document, section))
        if new:
            parts.append(f"{section}:\n")
        for name, entry in new.items():
            is_same = name in kept and old[name] == entry
            parts.append(kept[name] if is_same else _entry_yaml(name, entry))
    spliced = "".join(parts)
    return spliced if _says(spliced, after) else dump_policy(after)


def _entry_texts(text: str, document: Document, section: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of each entry, where they are laid out as we write them."""
    root = document.root
    lines = text.splitlines(keepends=True)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return
    ends = [key.start_mark.line for key, _ in root.value[1:]] + [len(lines)]
    for (key, value), end in zip(root.value, ends, strict=True):
        if key.value != section or not isinstance(value, yaml.MappingNode) or value.flow_style:
            continue
        starts = [name.start_mark.line for name, _ in value.value]
        for (name, _), first, last in zip(value.value, starts, [*starts[1:], end], strict=True):
            yield name.value, "".join(lines[first:last])


def _says(text: str, policy: Policy) -> bool:
    """Return whether a text is that policy; anchors and unusual layouts don't survive splicing."""
    try:
        return parse_policy(load_document("policy", text, PolicyError)) == policy
    except PolicyError:
        return False


def _entry_yaml(name: str, entry: Any) -> str:
    _, *lines = _yaml({"entry": {name: plain(entry)}}).splitlines(keepends=True)
    return "".join(lines)


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Never write anchors: each value stands where it is read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Unicode's own line breaks come back as spaces unless they are escaped.
    style = '"' if _LINE_BREAKS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_LINE_BREAKS = frozenset("\x85\u2028\u2029\ufeff")
_Dumper.add_representer(str, _text)
