"""A chat server that costs next to nothing, so that what is measured is the client.

    python server.py --latency-ms 50

It prints its port, answers every chat after the same time with a label of the prompt, and tells
at `GET /` what it saw since it was last told so. It understands only well-behaved clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import zlib
from dataclasses import dataclass, field

# How many in a hundred questions a model answers rightly.
SKILL = {"small": 70, "mid": 92, "large": 99}
LABELS = ("billing", "shipping", "returns")


@dataclass
class Seen:
    """What reached the server."""

    requests: int = 0
    bodies: set[bytes] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0

    def told(self) -> bytes:
        return json.dumps(
            {
                "requests": self.requests,
                "distinct": len(self.bodies),
                "most_in_flight": self.most_in_flight,
            }
        ).encode()


class Chats(asyncio.Protocol):
    """One connection, kept alive; a request comes whole and is answered before the next."""

    seen = Seen()
    latency_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET "):
            self._buffer = b""
            told, Chats.seen = Chats.seen.told(), Seen()
            self._send(told)
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        seen = self.seen
        seen.requests += 1
        seen.bodies.add(zlib.crc32(body).to_bytes(4, "big") + len(body).to_bytes(4, "big"))
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        answer = chat(json.loads(body))
        if self.latency_s:
            asyncio.get_running_loop().call_later(self.latency_s, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, answer: bytes) -> None:
        self.seen.in_flight -= 1
        self._send(answer)

    def _send(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(body)
            + body
        )


def chat(asked: dict[str, object]) -> bytes:
    """Return the answer of a model of some skill: its right label stands last in the prompt."""
    messages = asked["messages"]
    assert isinstance(messages, list)
    text = str(messages[-1]["content"])
    label = text.rsplit(" ", 1)[-1]
    if zlib.crc32(text.encode()) % 100 >= SKILL[str(asked["model"])]:
        label = LABELS[(LABELS.index(label) + 1) % len(LABELS)]
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": asked["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": label},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 60, "completion_tokens": 2, "total_tokens": 62},
        }
    ).encode()


async def serve(latency_s: float) -> None:
    Chats.latency_s = latency_s
    server = await asyncio.get_running_loop().create_server(Chats, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().latency_ms / 1000))
