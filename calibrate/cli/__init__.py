"""The command line: parse, call one function, print. Exceptions become exit codes only here."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import calibrate
from calibrate.cli.json_output import asks_for_json, error_json, print_json
from calibrate.cli.streams import drop_output, standard_streams
from calibrate.errors import CalibrateError, UsageError, did_you_mean

__all__ = ["COMMANDS", "main", "parser_for"]

YES, NO, NO_ANSWER, BUG, INTERRUPTED = 0, 1, 2, 3, 130
UNREAD = 141  # what a shell shows of a writer that `head` has ended; neither yes nor no

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
    with standard_streams():
        try:
            status = _answer(arguments)
            sys.stdout.flush()  # here, where a reader that went away can still be told apart
            return status
        except BrokenPipeError:  # there is nobody to tell
            drop_output()
            return UNREAD
        except OSError as error:
            print(f"error: output: {error.strerror}", file=sys.stderr)
            drop_output()
            return NO_ANSWER


def _answer(arguments: Sequence[str]) -> int:
    """Run a command; what keeps it from its answer is told, but for a stdout that fails."""
    try:
        return _run(arguments)
    except CalibrateError as error:
        return _no_answer(arguments, NO_ANSWER, error.problems)
    except KeyboardInterrupt:
        kept = "interrupted; every answer that had arrived is kept"
        return _no_answer(arguments, INTERRUPTED, [kept], label="")
    except OSError as error:  # a full disk, a folder without permission
        if error.filename is None:
            raise
        return _no_answer(arguments, NO_ANSWER, [f"{error.filename}: {error.strerror}"])
    except Exception:
        import traceback

        traceback.print_exc()
        bug = "this is a bug in calibrate; please report it with the traceback on stderr"
        return _no_answer(arguments, BUG, [bug])


def _no_answer(
    arguments: Sequence[str], status: int, problems: Sequence[str], label: str = "error: "
) -> int:
    for problem in problems:
        print(f"{label}{problem}", file=sys.stderr)
    if asks_for_json(arguments):
        print_json(error_json(problems, status))
    return status


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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are told like all others, beneath its usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(message)


def parser_for(name: str) -> argparse.ArgumentParser:
    """Return the argument parser of one command, as its help and the README show it."""
    module = import_module(f"calibrate.cli.{name}")
    parser = Parser(
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
    parser = Parser(
        prog="calibrate",
        usage="calibrate COMMAND [options]",
        description="The cheapest model that is good enough, with a guarantee.",
        epilog=f"commands:\n{listing}\n\n"
        "exit status: 0 yes or done, 1 the answer is no, 2 there is no answer, 3 a bug,\n"
        "130 interrupted, 141 the output was not read\n\nExample:\n  calibrate run support-simple",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"calibrate {calibrate.__version__}")
    return parser


def _run(arguments: Sequence[str]) -> int:
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
    except SystemExit as ended:  # argparse, after --help and --version
        return NO_ANSWER if ended.code else YES
