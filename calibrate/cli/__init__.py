"""The command line: parse, call one function, print. Exceptions become exit codes only here."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper

import calibrate
from calibrate.errors import CalibrateError, did_you_mean

__all__ = ["COMMANDS", "main", "parser_for"]

YES, NO, NO_ANSWER, BUG, INTERRUPTED = 0, 1, 2, 3, 130

# The module of a command is imported only when it is the one that was asked for.
COMMANDS = {
    "init": "scaffold a project",
    "plan": "what a run would ask and cost, and whether the data can certify the bar",
    "run": "measure, decide, write the policy and the report",
    "batch": "how far the batches of `run --batch` are, and their answers",
    "check": "offline: is the committed policy what the inputs imply?",
    "ci": "the gate for a pull request: check, decide, compare with before, report",
    "diff": "what another policy moves: routes, quality, money, time, cases",
    "export": "the policy in a gateway's own configuration",
    "verify": "does a deployed gateway still say what the policy says?",
    "route": "what the policy says for a request",
    "project": "what the traffic costs by the baseline, the policy and each alternative",
    "report": "render the HTML again from stored answers, offline, or serve it live",
    "replay": "decide from a table of outcomes that already exist",
    "audit": "simulate calibrations with known truth and count the broken promises",
    "cache": "what is stored of the models' answers: show, thin out, export",
    "schema": "print the JSON Schema of a file format",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal or pipe that knows no `≥` gets an escape for it, and not a crash.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()  # here, where a reader that went away can still be told apart
        return status
    except CalibrateError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return NO_ANSWER
    except KeyboardInterrupt:
        print("interrupted; every answer that had arrived is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # the reader went away; there is nobody to tell
        return NO_ANSWER
    except OSError as error:  # a full disk, a folder without permission
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        _drop_output()
        return NO_ANSWER
    except Exception:
        import traceback

        traceback.print_exc()
        print("error: this is a bug in calibrate; please report it with the above", file=sys.stderr)
        return BUG


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for garbage seldom: a command keeps what it imports and measures, and makes no cycles.

    At Python's own thresholds a tenth of its time goes into looking.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that it does not fail again when Python ends."""
    with suppress(OSError):  # in a program that calls `main`, it may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser_for(name: str) -> argparse.ArgumentParser:
    """Return the argument parser of one command, as its help and the README show it."""
    module = import_module(f"calibrate.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"calibrate {name}",
        description=module.DESCRIPTION,
        epilog=f"Example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.set_defaults(handler=module.handle)
    return parser


def top_parser() -> argparse.ArgumentParser:
    """Return the parser that knows the commands by name only."""
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:<{width}}{text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="calibrate",
        usage="calibrate COMMAND [options]",
        description="The cheapest model that is good enough, with a guarantee.",
        epilog=f"commands:\n{listing}\n\n"
        "exit status: 0 yes or done, 1 the answer is no, 2 there is no answer, 3 a bug, "
        "130 interrupted\n\nExample:\n  calibrate run support-simple",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"calibrate {calibrate.__version__}")
    return parser


def _run(arguments: list[str]) -> int:
    top = top_parser()
    if not arguments:
        top.print_help(sys.stderr)
        return NO_ANSWER
    name = arguments[0]
    try:
        if name in COMMANDS:
            with _few_collections():
                parsed = parser_for(name).parse_args(arguments[1:])
                status: int = parsed.handler(parsed)
                return status
        if name.startswith("-"):
            top.parse_args([name])  # --help and --version end here, and unknown options
        top.error(f"no command is called {name!r}{did_you_mean(name, COMMANDS)}")
    except SystemExit as ended:  # argparse: 0 after --help, 2 after a mistake
        return NO_ANSWER if ended.code else YES
