"""main.py as functions-framework meets it: each function in a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from functions.settings import FUNCTIONS
from infra import ROOT
from infra.local.functions import Function
from tests.support.processes import SECRET, environment


def start(function: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs functions-framework until it ends by itself."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "functions_framework", "--target", function, "--port", "0"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_without_its_settings_says_what_is_missing_and_does_not_start(
    function: str,
) -> None:
    ended = start(function)
    assert ended.returncode != 0
    assert "GOOGLE_CLOUD_PROJECT is missing" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_function_in_the_cloud_refuses_an_emulator() -> None:
    ended = start(
        "push",
        K_SERVICE="push",
        GOOGLE_CLOUD_PROJECT="unring-test",
        FIRESTORE_EMULATOR_HOST="127.0.0.1:8080",
    )
    assert ended.returncode != 0
    assert "FIRESTORE_EMULATOR_HOST points at an emulator" in ended.stderr


def test_there_is_no_other_function() -> None:
    ended = start("cancel")
    assert ended.returncode != 0
    assert "cancel" in ended.stderr


# By no function before its first request, and by some never.
UNUSED = {
    *("botocore", "mockfirestore", "pydantic"),
    "functions.dialect.reading",  # without a dialect
}
NOT_CHOSEN = {f"functions.services.identity.{name}" for name in ("oidc", "secret", "introspection")}


@pytest.mark.parametrize(
    ("function", "unused"),
    [
        ("gateway", {"firebase_admin.messaging", "jwt", *NOT_CHOSEN}),
        ("api", {"firebase_admin.messaging", "jwt", *NOT_CHOSEN}),
        ("deliver", {"firebase_admin"}),
        ("push", {"firebase_admin.auth"}),
        ("webhook", {"firebase_admin"}),
        ("ring", {"firebase_admin", "jwt"}),
        ("sweep", {"firebase_admin"}),
    ],
)
def test_a_function_imports_only_what_it_uses(function: str, unused: set[str]) -> None:
    # Who publishes imports the library for it then, when a socket may have been told.
    unused = {*unused, "google.pubsub_v1", "google.cloud.pubsub_v1"}
    if function != "ring":
        unused = {*unused, "google.cloud.tasks_v2", "aiohttp"}  # the one loads the other
    program = f"import sys, main; main.{function}; print(*sys.modules)"
    loaded = printed_by(program)
    assert {*unused, *UNUSED}.isdisjoint(loaded)
    others = {f"functions.{name}" for name in FUNCTIONS.keys() - {function}}
    assert others.isdisjoint(loaded)


def printed_by(program: str) -> list[str]:
    """The words that a fresh process prints that has a function's environment."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_what_is_loaded_at_the_start_is_never_looked_at_for_garbage() -> None:
    program = "import gc, main; main.sweep; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    assert printed_by(program) == ["True", "True"]


FIRST_REQUEST = """
import asyncio, sys, threading
import main
from starlette.requests import Request

before = set(sys.modules)
asyncio.run(main.gateway(Request({"type": "http", "method": "POST", "headers": []})))
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
print(*sys.modules.keys() - before)
"""


def test_beside_the_first_request_is_loaded_what_the_start_did_not_wait_for() -> None:
    loaded = printed_by(FIRST_REQUEST)
    assert {"functions.services.httppool", "functions.services.topic"} <= set(loaded)


@asynccontextmanager
async def connected(
    function: Function,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = urlsplit(function.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_request_that_is_too_large_is_answered(tmp_path: Path) -> None:
    async with Function("gateway", environment(), tmp_path) as gateway, httpx.AsyncClient() as http:
        secret = {"unring-secret": SECRET}
        large = await http.post(gateway.url, headers=secret, content=b"x" * (1024 * 1024 + 1))
        assert (large.status_code, large.json()) == (413, {"message": "the request is too large"})


@pytest.mark.thorough
async def test_a_request_whose_rest_never_comes_is_answered(tmp_path: Path) -> None:
    async with Function("gateway", environment(), tmp_path) as gateway:
        half = f"POST / HTTP/1.1\r\nunring-secret: {SECRET}\r\ncontent-length: 100\r\n\r\n{{"
        async with connected(gateway) as (reader, writer):
            writer.write(half.encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")


async def test_who_does_not_know_the_secret_is_answered_before_what_he_sends_is_there(
    tmp_path: Path,
) -> None:
    async with Function("gateway", environment(), tmp_path) as gateway:
        async with connected(gateway) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
            writer.write(b"no chunk\r\n")
            await reader.read()  # until the connection is closed
        logged = (tmp_path / "gateway.log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in logged] == ["wrong gateway secret"]


SAYS_WHAT_SERVES_IT = """
import asyncio, sys
import functions_framework.aio

@functions_framework.aio.http
async def sweep(_):
    loop = type(asyncio.get_running_loop()).__module__
    kinds = ("httptools_impl", "h11_impl")
    served_by = [kind for kind in kinds if f"uvicorn.protocols.http.{kind}" in sys.modules]
    return {"loop": loop, "http": served_by}
"""


async def test_a_function_runs_on_uvloop_and_reads_http_by_httptools(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SAYS_WHAT_SERVES_IT)
    async with (
        Function("sweep", environment(), tmp_path, source=tmp_path) as function,
        httpx.AsyncClient() as http,
    ):
        said = (await http.get(function.url)).json()
    assert said == {"loop": "uvloop", "http": ["httptools_impl"]}
