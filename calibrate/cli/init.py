"""`calibrate init`: scaffold a project."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_json
from calibrate.errors import OutputError

DESCRIPTION = "Scaffold a project: tiers, one example workflow and its golden cases."
EXAMPLE = "calibrate init my-project --endpoint anthropic"


@dataclass(frozen=True, slots=True)
class Preset:
    """An endpoint with a model for each tier, to start from."""

    kind: str
    base_url: str | None
    api_key_env: str | None
    models: tuple[str, str, str]  # cheap, balanced, frontier
    price: str = "auto"
    parameters: str = "{temperature: 0}"


PRESETS = {
    "openai": Preset(
        "openai",
        None,
        "OPENAI_API_KEY",
        ("gpt-5-nano", "gpt-5-mini", "gpt-5"),
        # Reasoning models take no temperature and give no log-probabilities.
        parameters="{reasoning_effort: minimal, logprobs: false}",
    ),
    "anthropic": Preset(
        "anthropic",
        None,
        "ANTHROPIC_API_KEY",
        ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"),
    ),
    "gemini": Preset(
        "gemini",
        None,
        "GEMINI_API_KEY",
        ("gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"),
        parameters="{temperature: 0, logprobs: false}",  # few of Google's models give any
    ),
    "openrouter": Preset(
        "openai",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        ("openai/gpt-5-nano", "openai/gpt-5-mini", "anthropic/claude-sonnet-4.5"),
    ),
    "ollama": Preset(
        "openai",
        "http://127.0.0.1:11434/v1",
        None,
        ("smollm2:135m", "gemma3:270m", "qwen2.5-coder:0.5b"),
        "{usd_per_hour: 0.10}",
    ),
}

# Where each scaffolded file comes from; `tiers.yaml` is written from the preset.
_FILES = {
    "evals/triage.yaml": "triage.yaml",
    "datasets/triage.jsonl": "triage.jsonl",
    ".gitignore": "gitignore",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path())
    parser.add_argument(
        "--endpoint", choices=sorted(PRESETS), default="openai", help="who serves the models"
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    folder, preset = arguments.folder, PRESETS[arguments.endpoint]
    scaffold = files("calibrate.cli") / "scaffold"
    wanted = {name: (scaffold / source).read_text("utf-8") for name, source in _FILES.items()}
    wanted["evals/tiers.yaml"] = _tiers(arguments.endpoint, preset)
    if (folder / ".gitignore").exists():
        del wanted[".gitignore"]
    existing = [
        f"{folder / name}: exists; nothing was written"
        for name in wanted
        if (folder / name).exists()
    ]
    if existing:
        raise OutputError(existing)
    _write({folder / name: text for name, text in sorted(wanted.items())})
    if arguments.json:
        print_json({"files": [str(folder / name) for name in sorted(wanted)]})
        return 0
    for name in sorted(wanted):
        print(folder / name)
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    if preset.api_key_env:
        print(f"\nSet {preset.api_key_env}, then:")
    elif arguments.endpoint == "ollama":
        print(f"\nThen:\n  ollama pull {' '.join(preset.models)}")
    print(f"  {where}calibrate plan    # what it would ask and cost\n  {where}calibrate run")
    return 0


def _tiers(name: str, preset: Preset) -> str:
    endpoint = [f"kind: {preset.kind}"]
    if preset.base_url:
        endpoint.append(f"base_url: {preset.base_url}")
    if preset.api_key_env:
        endpoint.append(f"api_key_env: {preset.api_key_env}")
    models = "\n".join(
        f"  {alias}:\n    endpoint: {name}\n    name: {model}\n    price: {preset.price}\n"
        f"    parameters: {preset.parameters}"
        for alias, model in zip(("small", "medium", "large"), preset.models, strict=True)
    )
    text = (files("calibrate.cli") / "scaffold" / "tiers.yaml").read_text("utf-8")
    return text.format(name=name, endpoint=", ".join(endpoint), models=models)


def _write(texts: Mapping[Path, str]) -> None:
    """Write every file or, where one cannot be written, none."""
    folders = {parent for path in texts for parent in path.parents if not parent.exists()}
    written: list[Path] = []
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(text)
        except OSError as error:
            _undo(written, folders)
            where = error.filename or path
            raise OutputError(f"{where}: cannot be written: {error.strerror}") from error


def _undo(written: list[Path], folders: set[Path]) -> None:
    for path in written:
        path.unlink()
    for folder in sorted(folders, reverse=True):  # the inner ones first
        with suppress(OSError):
            folder.rmdir()
