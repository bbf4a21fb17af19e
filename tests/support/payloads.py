"""What Hypothesis makes payloads of HTTP long polling of, and JavaScript's parsers of them."""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from functions.clients.connection import Wire
from functions.wire.payload import encode_payload
from tests.support import node

_DRIVER = Path(__file__).with_name("payloads.js")

CLIENTS = {"socket.io-client-2": Wire.EIO3, "socket.io-client-4": Wire.EIO4}

_DAMAGES = ["", ":", "0", "1", "2", "01", "1.", " ", "+", "b", "d=", "\x1e", "😀"]

_types = st.sampled_from("0123456")
_odd = st.sampled_from(["", "😀", "é:", "2:", ":", "\x1f", "\uffff", '2["call:cancel",{"a":"😀"}]'])


def packets_of(wire: Wire, many: int) -> st.SearchStrategy[list[str]]:
    """From one packet to `many` of them, as they stand in a payload, some with binary data."""
    texts = st.text(max_size=12)
    if wire is not Wire.EIO3:
        texts = texts.map(lambda text: text.replace("\x1e", ""))
    text = st.builds(str.__add__, _types, texts | _odd)
    binary = st.binary(max_size=8).map(base64.b64encode).map(bytes.decode)
    prefix = "b4" if wire is Wire.EIO3 else "b"
    return st.lists(text | binary.map(lambda data: prefix + data), min_size=1, max_size=many)


@st.composite
def damaged(draw: st.DrawFn, wire: Wire) -> bytes:
    """The body of a good payload, in up to three places of which something else stands."""
    body = bytearray(encode_payload(wire, draw(packets_of(wire, 4))).encode())
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 3))
        body[place : place + length] = draw(
            st.binary(max_size=2) | st.sampled_from(_DAMAGES).map(str.encode)
        )
    return bytes(body)


class JsParser:
    """The engine.io-parser of one of JavaScript's clients, in a process of Node's."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def encode(self, packets: Sequence[str]) -> str:
        return str(self._ask({"encode": packets}))

    def decode(self, payload: str) -> list[str] | None:
        """The packets that it reads; None if it reads an error among them."""
        read: list[str] | None = self._ask({"decode": payload})
        return read

    def _ask(self, question: dict[str, object]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def js_parser(client: str) -> Iterator[JsParser]:
    """It needs Node's clients, which the fixture `node_missing` installs."""
    arguments = ("node", str(_DRIVER), str(node.MODULES / "package.json"), client)
    with subprocess.Popen(  # noqa: S603 - all of it is ours
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        yield JsParser(process)
