from __future__ import annotations

import asyncio

import pytest

from calibrate.errors import CalibrateError, ConfigError, ProviderError
from calibrate.transports import CHOICE, open_transport
from calibrate.transports.direct import DirectTransport
from calibrate.transports.fast import AiohttpTransport
from calibrate.transports.standard import HttpxTransport


def opened() -> type:
    async def kind() -> type:
        transport = open_transport(1)
        await transport.close()
        return type(transport)

    return asyncio.run(kind())


def refusal(kind: type[CalibrateError]) -> str:
    with pytest.raises(kind) as caught:
        opened()
    return str(caught.value)


def test_the_direct_transport_is_the_usual_one() -> None:
    assert opened() is DirectTransport


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("direct", DirectTransport),
        ("fast", AiohttpTransport),
        ("standard", HttpxTransport),
        ("", DirectTransport),
    ],
)
def test_the_user_may_choose(monkeypatch: pytest.MonkeyPatch, wanted: str, kind: type) -> None:
    monkeypatch.setenv(CHOICE, wanted)
    assert opened() is kind


def test_a_choice_that_is_none_is_an_error_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "standart")
    assert refusal(ConfigError) == (
        "CALIBRATE_TRANSPORT: 'standart' is none of `direct`, `fast`, `standard`; "
        "did you mean 'standard'?"
    )


@pytest.mark.parametrize("wanted", ["", "direct", "fast"])
@pytest.mark.parametrize(
    ("variable", "proxy", "kind"),
    [
        ("HTTPS_PROXY", "http://127.0.0.1:1", AiohttpTransport),
        ("ALL_PROXY", "http://127.0.0.1:1", AiohttpTransport),
        ("HTTPS_PROXY", "https://127.0.0.1:1", HttpxTransport),
    ],
)
def test_a_proxy_takes_a_transport_that_knows_its_kind(
    monkeypatch: pytest.MonkeyPatch, wanted: str, variable: str, proxy: str, kind: type
) -> None:
    monkeypatch.setenv(CHOICE, wanted)
    monkeypatch.setenv(variable, proxy)
    assert opened() is kind


def test_a_proxy_for_something_else_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAVIS_APT_PROXY", "socks5://127.0.0.1:1")
    assert opened() is DirectTransport


def test_a_socks_proxy_without_its_package_is_an_error_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert "pip install httpx[socks]" in refusal(ProviderError)


@pytest.mark.parametrize(
    "proxy", ["http://me:secret@", "http://me:secret@h:99999", "me:secret@h:x"]
)
def test_a_proxy_that_is_no_address_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert refusal(ProviderError) == (
        "the environment's proxy or certificate settings cannot be used: https_proxy is no address"
    )


def test_a_proxy_of_a_kind_that_nobody_speaks_is_an_error_for_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:1")
    assert refusal(ProviderError).startswith(
        "the environment's proxy or certificate settings cannot be used: "
    )
