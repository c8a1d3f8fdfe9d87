from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import which

import pytest
import trustme
from loopback import Loopback, Response, chat
from sending import failure, send

from calibrate.completion import FailureReason
from calibrate.errors import ProviderError
from calibrate.transports import Sent, open_transport

pytestmark = pytest.mark.usefixtures("chosen")

AUTHORITY = trustme.CA()
OPENSSL = which("openssl")


def serving(certificate: trustme.LeafCert) -> Iterator[Loopback]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with Loopback(lambda _: Response(200, b"{}"), tls=context) as server:
        yield server


@pytest.fixture
def server() -> Iterator[Loopback]:
    yield from serving(AUTHORITY.issue_cert("127.0.0.1"))


@pytest.fixture
def expired() -> Iterator[Loopback]:
    yield from serving(
        AUTHORITY.issue_cert(
            "127.0.0.1",
            not_before=datetime(2020, 1, 1, tzinfo=UTC),
            not_after=datetime(2021, 1, 1, tzinfo=UTC),
        )
    )


@pytest.fixture
def misnamed() -> Iterator[Loopback]:
    yield from serving(AUTHORITY.issue_cert("model.example"))


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


def test_a_certificate_of_nobody_known_is_refused(server: Loopback) -> None:
    message = failure(send(server.base_url), FailureReason.UNREACHABLE)
    assert "certificate verify failed" in message
    assert server.received == []


def test_the_environments_own_authority_is_trusted(
    server: Loopback, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert send(server.base_url) == Sent(200, b"{}")


@pytest.mark.skipif(OPENSSL is None, reason="needs openssl to name the file")
def test_a_folder_of_authorities_is_trusted(
    server: Loopback, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(authority)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    folder = authority.parent / "authorities"
    folder.mkdir()
    (folder / f"{name}.0").write_bytes(authority.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert send(server.base_url) == Sent(200, b"{}")


def test_an_expired_certificate_is_refused(
    expired: Loopback, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    message = failure(send(expired.base_url), FailureReason.UNREACHABLE)
    assert "certificate has expired" in message
    assert expired.received == []


def test_a_certificate_for_another_host_is_refused(
    misnamed: Loopback, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    message = failure(send(misnamed.base_url), FailureReason.UNREACHABLE)
    assert "127.0.0.1" in message
    assert misnamed.received == []


def test_a_server_that_speaks_no_tls_is_unreachable() -> None:
    with Loopback(lambda _: chat("a")) as plain:
        reply = send(plain.base_url.replace("http://", "https://"))
    assert failure(reply, FailureReason.UNREACHABLE).startswith("cannot be reached: ")


@pytest.mark.parametrize("content", [None, "no certificate\n"], ids=["missing", "not one"])
def test_an_authority_that_cannot_be_read_is_an_error_for_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ProviderError) as caught:
        open_transport(1)
    assert str(caught.value).startswith(
        "the environment's proxy or certificate settings cannot be used: "
    )
