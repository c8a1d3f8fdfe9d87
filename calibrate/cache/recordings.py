"""Real models' answers, one JSON line each, gzipped and committed; read-only during a run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.completion import (
    MALFORMED_REPLY,
    Completion,
    Reply,
    Request,
    reply_from_json,
    reply_to_json,
)
from calibrate.errors import CacheError
from calibrate.files import replace_file
from calibrate.fingerprint import canonical_bytes

__all__ = ["Recorded", "Recordings", "write_recordings"]

_HEAD, _MIDDLE = '{"v":1,"request":', ',"response":'
_VERSION = re.compile(rb'\{"v":(\d{1,9}),')


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request with the answer it got."""

    request: Request
    reply: Reply

    def to_line(self) -> bytes:
        """Return the line of a recording; its request is written in the key's own bytes."""
        request = canonical_bytes(self.request.to_json())
        response = json.dumps(
            reply_to_json(self.reply), separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return _HEAD.encode() + request + _MIDDLE.encode() + response.encode() + b"}"


class Recordings:
    """Every recorded answer of a workflow, by the request's key."""

    def __init__(self, path: Path | None, place: str = "") -> None:
        self._answers: dict[str, tuple[bytes, str]] = {}
        self._served: dict[tuple[str, str], set[str]] | None = None
        self.place = place
        if path is not None and path.is_file():
            for number, line in enumerate(_lines(path, place), start=1):
                where = f"{place}:{number}"
                self._answers[_key_of(line, where)] = (line, where)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, request: Request) -> Reply | None:
        """Return the recorded reply, parsed only now: a run needs few of many."""
        found = self._answers.get(request.key)
        return None if found is None else _parsed(*found).reply

    def all(self) -> Iterable[Recorded]:
        return (_parsed(line, where) for line, where in self._answers.values())

    def served_names(self, kind: str, name: str) -> frozenset[str]:
        """Return the names under which a model was served when it was recorded."""
        if self._served is None:  # reads every line, and only a run that asks needs to know
            self._served = {}
            for recorded in self.all():
                if isinstance(recorded.reply, Completion):
                    asked = recorded.request.kind, recorded.request.name
                    self._served.setdefault(asked, set()).add(recorded.reply.served_model)
        return frozenset(self._served.get((kind, name), ()))


def write_recordings(path: Path, answers: Iterable[Recorded]) -> int:
    """Write recordings, sorted, as one deterministic file; return how many there are.

    The file is packed by gzip where its name ends in `.gz`.
    """
    lines = sorted({answer.to_line() for answer in answers})
    content = b"".join(line + b"\n" for line in lines)
    if _is_packed(path):
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as packed:
            packed.write(content)
        content = buffer.getvalue()
    replace_file(path, content)
    return len(lines)


def _is_packed(path: Path) -> bool:
    return path.suffix == ".gz"


def _lines(path: Path, place: str) -> list[bytes]:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if _is_packed(path) else content).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise CacheError(
            f"{place}: this recording cannot be unpacked: {error}; restore it from version control"
        ) from error


def _key_of(line: bytes, where: str) -> str:
    """Return a line's key: its request is stored as the very bytes that the key is made of."""
    version = _VERSION.match(line)
    if version is not None and int(version[1]) > 1:
        raise CacheError(f"{where}: recorded by a newer calibrate; upgrade calibrate")
    try:
        text = line.decode()
        _, end = json.JSONDecoder().raw_decode(text, len(_HEAD))
    except (ValueError, RecursionError) as error:
        raise _not_a_recording(where, str(error)) from error
    if not text.startswith(_HEAD) or not text.startswith(_MIDDLE, end):
        raise _not_a_recording(where, "not in the form in which recordings are written")
    return hashlib.sha256(text[len(_HEAD) : end].encode()).hexdigest()


def _not_a_recording(where: str, why: str) -> CacheError:
    return CacheError(
        f"{where}: not a recorded answer ({why}); restore the file from version control, "
        "recordings are never edited"
    )


def _parsed(line: bytes, where: str) -> Recorded:
    try:
        row: Mapping[str, Any] = json.loads(line)
        return Recorded(Request.from_json(row["request"]), reply_from_json(row["response"]))
    except MALFORMED_REPLY as error:
        raise _not_a_recording(where, str(error)) from error
