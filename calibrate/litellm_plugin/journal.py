"""What the plugin tells: a line of JSON for each event, metrics, and spans."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Answered", "Journal"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer of one model; a rejected one is told of, and paid for, like the next."""

    request: str
    workflow: str
    model: str
    deployment: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_s: float
    over_context: bool
    is_default: bool
    fell_back: str | None  # why; None where the first model answered
    escalated: str | None  # why the answer before it was rejected; None where there was none


class Journal:
    """Writes lines to a file, or to stderr without one; neither text nor keys stand in any.

    Prometheus and OpenTelemetry are told where they are installed.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        metrics_port: int | None = None,
        registry: Any = None,
        tracer: Any = None,
    ) -> None:
        """Take the file to add to; `metrics_port` is served on this machine, where it is named.

        `registry` and `tracer` take the place of Prometheus's and OpenTelemetry's own.
        """
        self._path = path
        self._metrics = _metrics(metrics_port, registry)
        self._tracer = tracer or _tracer()

    def answered(self, answer: Answered) -> None:
        self._write("answer", asdict(answer))
        if self._metrics is not None:
            self._metrics.answered(answer)
        if self._tracer is not None:
            _span(self._tracer, answer)

    def escalated(self, **what: Any) -> None:
        self._write("escalation", what)

    def refused(self, **what: Any) -> None:
        self._write("refusal", what)

    def reloaded(self, **what: Any) -> None:
        self._write("policy", what)

    def _write(self, event: str, what: Mapping[str, Any]) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **what,
        }
        text = json.dumps(line, allow_nan=False, default=str)
        if self._path is None:
            print(text, file=sys.stderr, flush=True)
            return
        # Opened for each line, so that the file may be rotated; a full disk stops no request.
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


class _Metrics:
    def __init__(self, client: Any, registry: Any) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Any:
            return client.Counter(f"calibrate_{name}", meaning, labels, registry=registry)

        self._answers = counter("answers", "Answers of models.", "route", "model")
        self._cost = counter("cost_usd", "Their cost.", "route", "model")
        self._fell_back = counter("fallbacks", "Answers by another than the first.", "route")
        self._escalated = counter("escalations", "Answers after a weak one.", "route")
        self._latency = client.Histogram(
            "calibrate_latency_seconds", "Of an answer.", ["route"], registry=registry
        )

    def answered(self, answer: Answered) -> None:
        self._answers.labels(answer.workflow, answer.model).inc()
        self._cost.labels(answer.workflow, answer.model).inc(max(answer.cost_usd, 0.0))
        self._latency.labels(answer.workflow).observe(answer.latency_s)
        if answer.fell_back is not None:
            self._fell_back.labels(answer.workflow).inc()
        if answer.escalated is not None:
            self._escalated.labels(answer.workflow).inc()


def _metrics(port: int | None, registry: Any) -> _Metrics | None:
    try:
        import prometheus_client as client
    except ImportError:
        return None
    if port is not None:
        client.start_http_server(port, addr="127.0.0.1")
    return _Metrics(client, registry or client.REGISTRY)


def _tracer() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("calibrate")


def _span(tracer: Any, answer: Answered) -> None:
    end = int(datetime.now(UTC).timestamp() * 1e9)
    span = tracer.start_span(f"chat {answer.model}", start_time=end - int(answer.latency_s * 1e9))
    span.set_attributes(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": answer.model,
            "gen_ai.usage.input_tokens": answer.input_tokens,
            "gen_ai.usage.output_tokens": answer.output_tokens,
            "calibrate.workflow": answer.workflow,
            "calibrate.deployment": answer.deployment,
            "calibrate.cost_usd": answer.cost_usd,
            **{
                f"calibrate.{key}": value
                for key, value in (("fell_back", answer.fell_back), ("escalated", answer.escalated))
                if value is not None
            },
        }
    )
    span.end(end_time=end)
