from __future__ import annotations

import pytest

from calibrate.providers.base import Call
from calibrate.transports.writing import Origin, start_of, written


@pytest.mark.parametrize(
    ("url", "origin", "line", "host"),
    [
        ("http://a.example", Origin("a.example", 80, False), "/", "a.example"),
        ("HTTPS://A.Example/v1", Origin("a.example", 443, True), "/v1", "a.example"),
        ("http://a.example:8000/v1", Origin("a.example", 8000, False), "/v1", "a.example:8000"),
        ("http://[::1]:81/v1", Origin("::1", 81, False), "/v1", "[::1]:81"),
        ("http://model_server/v1", Origin("model_server", 80, False), "/v1", "model_server"),
        ("https://a.example./v1", Origin("a.example.", 443, True), "/v1", "a.example."),
        ("http://bücher.example/", Origin("xn--bcher-kva.example", 80, False), "/", None),
        ("http://straße.example/", Origin("xn--strae-oqa.example", 80, False), "/", None),
        ("http://h/a b/ü|%20", Origin("h", 80, False), "/a%20b/%C3%BC%7C%20", "h"),
        ("http://h/a?api-version=1&b=c d#part", Origin("h", 80, False), None, "h"),
        ("http://h?a=1", Origin("h", 80, False), "/?a=1", "h"),
        ("http://h/v1\r\nx: y", Origin("h", 80, False), "/v1x:%20y", "h"),
    ],
)
def test_a_url_is_where_it_leads_and_how_its_request_starts(
    url: str, origin: Origin, line: str | None, host: str | None
) -> None:
    line = line or "/a?api-version=1&b=c%20d"
    found, start = start_of("POST", url)
    assert found == origin
    assert start == f"POST {line} HTTP/1.1\r\nhost: {host or origin.host}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/v1",
        "file:///etc/passwd",
        "http:///v1",
        "http://h:0/v1",
        "http://h:x/v1",
        "http://h:65536/v1",
        "http://[::1/v1",
        "http://a b/v1",
        "http://a\x00b/v1",
        "http://a\\b/v1",
        "http://./v1",
        "http://me:secret@h/v1",
        "http://@h/v1",
        "http://\ud800/v1",
        "http://h/\ud800",
    ],
)
def test_what_leads_nowhere_is_no_url(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds is heeded
        start_of("POST", url)


def call(**headers: str) -> Call:
    return Call("http://h/", headers, b"{}")


def test_a_request_is_its_head_and_its_body() -> None:
    assert written("POST / HTTP/1.1\r\nhost: h", call(authorization="Bearer k\xe9")) == (
        b"POST / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer k\xc3\xa9\r\naccept: */*\r\n"
        b"accept-encoding: gzip, deflate\r\nuser-agent: calibrate\r\ncontent-length: 2\r\n\r\n{}"
    )


def test_a_request_without_a_body_says_so_only_where_one_is_usual() -> None:
    assert b"content-length: 0" in written("", Call("http://h/", {}, b""))
    assert b"content-length" not in written("", Call("http://h/", {}, b"", "GET"))


def test_a_calls_own_header_replaces_the_usual_one() -> None:
    request = written("", Call("http://h/", {"accept": "text/plain"}, b""))
    assert request.count(b"accept:") == 1
    assert b"accept: text/plain\r\n" in request


@pytest.mark.parametrize("value", ["a\r\nx: 1", "a\n", "\x00", "\x1b[2J", "\x7f", "\ud800"])
def test_a_value_that_is_none_makes_no_request(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        written("", call(x=value))


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\x00"])
def test_a_name_that_is_none_makes_no_request(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        written("", call(**{name: "1"}))
