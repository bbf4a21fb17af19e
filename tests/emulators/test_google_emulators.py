"""Google's emulators: they start, answer real clients, and leave no process behind."""

import asyncio
import os
import select
import shutil
import signal
import socket
import stat
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from google.api_core import exceptions
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from infra.emulators import google
from tests.emulators.firestore.support import Db, make_client

pytestmark = pytest.mark.thorough

needs_google = pytest.mark.skipif(
    (reason := google.unavailable()) is not None, reason=f"Google's emulators: {reason}"
)
needs_proc = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this test reads /proc")

OWNER = """
import asyncio, sys
from infra.emulators import google

async def main():
    async with getattr(google, sys.argv[1])() as address:
        print(address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def processes_of(address: str) -> list[int]:
    """The processes that were told this address' port: the emulator, and who started it."""
    port = address.rpartition(":")[2]
    flags = {f"--port={port}", f"--host-port={address}"}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_text(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if flags & set(arguments):
            found.append(int(folder.name))
    return found


def wait_for_the_end_of(pids: list[int], seconds: float = 20) -> None:
    """Wait until all have ended: their file descriptors become readable."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended, _, _ = select.select([descriptor], [], [], seconds)
        finally:
            os.close(descriptor)
        assert ended, f"process {pid} is still there"


@pytest.fixture
def gcloud_without_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Cloud SDK laid out in another way: only its command knows where the emulators are."""
    real = shutil.which("gcloud")
    sdk = tmp_path / "sdk"
    for component in ("cloud-firestore-emulator", "pubsub-emulator"):
        (sdk / "platform" / component).mkdir(parents=True)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    _script(bin_folder / "gcloud", f'[ "$1" = info ] && echo {sdk} && exit\nexec {real} "$@"')
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")


@needs_google
@needs_proc
async def test_both_serve_their_clients_and_end() -> None:
    async with AsyncExitStack() as emulators:
        firestore, pubsub = await asyncio.gather(
            emulators.enter_async_context(google.firestore_emulator()),
            emulators.enter_async_context(google.pubsub_emulator("unring-test")),
        )
        db = Db(make_client("async", firestore, "unring-test"))
        await db.set("a/b", {"n": 1})
        assert await db.fields("a/b") == {"n": 1}
        await db.close()
        await _create_topic(pubsub, "unring-test")
        with pytest.raises(exceptions.NotFound):
            await _create_topic(pubsub, "another-project")
        assert processes_of(firestore)
        assert processes_of(pubsub)
    assert processes_of(firestore) == []
    assert processes_of(pubsub) == []


@needs_google
@needs_proc
async def test_an_error_inside_ends_the_emulator_too() -> None:
    address = ""
    with pytest.raises(LookupError):
        async with google.pubsub_emulator() as address:
            raise LookupError
    assert processes_of(address) == []


@needs_google
@needs_proc
async def test_no_java_outlives_an_owner_that_is_killed(
    tmp_path: Path,
) -> None:
    emulators = ("firestore_emulator", "pubsub_emulator")
    await asyncio.gather(*(_kill_the_owner_of(emulator, tmp_path) for emulator in emulators))


@needs_google
@needs_proc
@pytest.mark.usefixtures("gcloud_without_jars")
async def test_neither_gcloud_nor_its_java_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    started = await _kill_the_owner_of("firestore_emulator", tmp_path)
    assert len(started) > 2  # the guard, gcloud, and Java below it


@needs_google
async def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(google.EmulatorError, match=str(port)):
            async with google.pubsub_emulator(port=port):
                pass


@needs_google
async def test_an_emulator_that_ends_at_once_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(tmp_path / "java", "echo no memory left; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(google.EmulatorError, match=r"(?s)ended \(3\).*no memory left"):
        async with google.firestore_emulator():
            pass


async def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert google.unavailable() == "gcloud is not installed"
    _script(tmp_path / "gcloud", f"echo {tmp_path}")
    assert google.unavailable() == "java is not installed"
    _script(tmp_path / "java", "exit 0")
    missing = google.unavailable()
    assert missing == "gcloud's component cloud-firestore-emulator is not installed"
    with pytest.raises(google.EmulatorError, match="cloud-firestore-emulator"):
        async with google.firestore_emulator():
            pass


async def _kill_the_owner_of(emulator: str, folder: Path) -> list[int]:
    """Kill it and wait for the end of all it started; return what that was.

    `folder` gets what a killed process can't remove.
    """
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OWNER,
        emulator,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        assert owner.stdout is not None
        address = (await owner.stdout.readline()).decode().strip()
        started = processes_of(address)
        assert started
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
    await asyncio.to_thread(wait_for_the_end_of, started)
    return started


async def _create_topic(address: str, project: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        await publisher.create_topic(name=f"projects/{project}/topics/call-events")


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
