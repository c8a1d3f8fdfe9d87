"""The gateways themselves: a process each, started on an export, asked over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from loopback import refused_port

__all__ = ["KEYS", "TOOLS", "Gateway", "run_envoy", "run_litellm", "run_portkey"]

# Where `make test-gateways` has put them.
TOOLS = Path(os.environ.get("CALIBRATE_GATEWAYS", "")).resolve()
KEYS = {"OPENAI_API_KEY": "key-of-openai", "ANTHROPIC_API_KEY": "key-of-anthropic"}
_MASTER_KEY = "sk-master"
_PATIENCE_S = 180.0


@dataclass(frozen=True)
class Gateway:
    """A running gateway that speaks OpenAI's API."""

    name: str
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, model: str, text: str = "Hello.", **body: Any) -> httpx.Response:
        """Send one chat request and return the whole answer, whatever it is."""
        messages = [{"role": "user", "content": text}]
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.post(
                f"{self.base_url}/v1/chat/completions",
                headers={"content-type": "application/json", **self.headers},
                content=json.dumps({"model": model, "messages": messages, **body}),
            )

    def answer(self, model: str, text: str = "Hello.", **body: Any) -> str:
        """Return the text of an answer; fails with what came instead of one."""
        response = self.ask(model, text, **body)
        assert response.status_code == 200, f"{response.status_code}: {response.text[:500]}"
        content: str = response.json()["choices"][0]["message"]["content"]
        return content

    def get(self, path: str) -> Any:
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.get(f"{self.base_url}{path}", headers=dict(self.headers)).json()


@contextmanager
def run_litellm(
    text: str, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    config, port = folder / "litellm.yaml", refused_port()
    config.write_text(text)
    command = [str(TOOLS / "litellm/bin/litellm"), "--config", str(config)]
    settings = {"LITELLM_MASTER_KEY": _MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    settings |= more or {}
    gateway = Gateway(
        "litellm", f"http://127.0.0.1:{port}", {"authorization": f"Bearer {_MASTER_KEY}"}
    )
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with _process([*command, *address], folder, settings, f"{gateway.base_url}/health/liveliness"):
        yield gateway


@contextmanager
def run_envoy(text: str, folder: Path) -> Iterator[Gateway]:
    config, port = folder / "envoy.yaml", refused_port()
    assert text.count("port_value: 10000") == 1
    config.write_text(text.replace("port_value: 10000", f"port_value: {port}"))
    command = [str(TOOLS / "envoy/bin/envoy"), "-c", str(config), "--use-dynamic-base-id"]
    gateway = Gateway("envoy", f"http://127.0.0.1:{port}", {"authorization": "Bearer client"})
    with _process([*command, "-l", "warning"], folder, {}, gateway.base_url):
        yield gateway


@contextmanager
def run_portkey(text: str, folder: Path) -> Iterator[Gateway]:
    config, port = json.dumps(json.loads(text)), refused_port()
    for name, key in KEYS.items():
        config = config.replace(f'"${name}"', f'"{key}"')
    script = TOOLS / "node/node_modules/@portkey-ai/gateway/build/start-server.js"
    command = ["node", str(script), f"--port={port}", "--headless"]
    gateway = Gateway("portkey", f"http://127.0.0.1:{port}", {"x-portkey-config": config})
    with _process(command, folder, {}, gateway.base_url):
        yield gateway


@contextmanager
def _process(
    command: list[str], folder: Path, settings: Mapping[str, str], url: str
) -> Iterator[None]:
    """Run a server until the block ends; its output is shown when it does not come up."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **KEYS, **settings}
    output = folder / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _await_server(process, url, output)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_server(process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                client.get(url)
                return
            except httpx.TransportError:
                time.sleep(0.1)
    raise AssertionError(f"{process.args!r} did not start:\n{output.read_text()[-4000:]}")
