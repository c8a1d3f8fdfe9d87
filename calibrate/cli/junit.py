"""The gate as JUnit XML, which every CI service reads: a suite a workflow, a case a question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as Xml

from calibrate.cli.gating import Finding, Kind, Row, findings_of
from calibrate.drift import Change
from calibrate.regression import Found, in_words

__all__ = ["junit_xml"]

_QUESTIONS = {
    Kind.STALE: "the policy is what the inputs imply",
    Kind.UNMET: "a model meets the bar",
    Kind.WORSE: "the certified route is not worse",
}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML 1.0


def junit_xml(rows: Sequence[Row], general: Sequence[Change]) -> bytes:
    """Return the document; `general` are changes that are of no workflow of the project."""
    root = Xml.Element("testsuites", name="calibrate")
    for row in rows:
        found = list(findings_of(row))
        _suite(root, row.workflow, [_case(row, kind, found) for kind in _QUESTIONS])
    if general:
        failures = [_failure(Kind.STALE.value, [change.text for change in general])]
        _suite(root, "policy", [("policy", _QUESTIONS[Kind.STALE], failures)])
    Xml.indent(root)
    text: str = Xml.tostring(root, encoding="unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


Case = tuple[str, str, list[Xml.Element]]  # of which class, its name, and how it ended


def _suite(root: Xml.Element, name: str, cases: Sequence[Case]) -> None:
    ends = [end.tag for _, _, ended in cases for end in ended]
    counts = {
        "tests": len(cases),
        "failures": ends.count("failure"),
        "errors": ends.count("error"),
        "skipped": ends.count("skipped"),
    }
    suite = Xml.SubElement(root, "testsuite", name=name)
    suite.attrib |= {key: str(count) for key, count in counts.items()}
    for class_name, case_name, ended in cases:
        Xml.SubElement(suite, "testcase", classname=class_name, name=case_name).extend(ended)


def _case(row: Row, kind: Kind, found: Sequence[Finding]) -> Case:
    mine = [finding.text for finding in found if finding.kind is kind]
    ended = [_failure(kind.value, mine)] if mine else list(_without_answer(row, kind))
    return f"calibrate.{row.workflow}", _QUESTIONS[kind], ended


def _without_answer(row: Row, kind: Kind) -> Iterator[Xml.Element]:
    if kind is Kind.STALE and row.no_answer and not row.changes:
        yield _ended("error", "no answer", row.no_answer)
    if kind is not Kind.WORSE:
        return
    if row.regression is None:
        yield _ended("skipped", row.not_compared or row.no_answer or "the change does not touch it")
    elif row.regression.found is Found.TOO_FEW:
        yield _ended("skipped", in_words(row.regression))


def _failure(kind: str, texts: Sequence[str]) -> Xml.Element:
    return _ended("failure", kind, "\n".join(texts))


def _ended(tag: str, message: str, text: str = "") -> Xml.Element:
    element = Xml.Element(tag, message=_legal(message))
    element.text = _legal(text) or None
    return element


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
