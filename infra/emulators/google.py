"""Google's own emulators of Firestore and Pub/Sub, started from the Cloud SDK, without orphans."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grpc

from infra.emulators.processes import child, reserved_port

HOST = "127.0.0.1"
START_SECONDS = 60.0  # Java on a busy machine
_LOOK_SECONDS = 0.05
_ATTEMPTS = 5
_SHOWN_CHARACTERS = 2000
_PORT_TAKEN = "BindException"
_JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.language=en")

# gcloud leaves its Java behind when it is killed, and may put it in another process group. Run by
# this, everything in the session ends with it. The direct start of a jar needs no such help.
_SESSION = """
import os, signal, subprocess, sys

def members():
    if os.path.isdir("/proc/self"):
        pids = filter(str.isdigit, os.listdir("/proc"))
    else:
        pids = subprocess.check_output(["ps", "-A", "-o", "pid="], text=True).split()
    for pid in map(int, pids):
        try:
            if pid != os.getpid() and os.getsid(pid) == os.getsid(0):
                yield pid
        except ProcessLookupError:
            pass

def end(*_):
    for pid in members():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os._exit(143)

signal.signal(signal.SIGTERM, end)
sys.exit(subprocess.call(sys.argv[1:]))
"""


class EmulatorError(Exception):
    """An emulator can't be started; the message says why, with the last that it printed."""


class _PortTaken(Exception):
    """Somebody else bound the port first."""


@dataclass(frozen=True)
class _Emulator:
    name: str
    component: str  # as `gcloud components install` knows it, and its folder in `platform`
    jar: str  # a pattern, in that folder
    start: tuple[str, ...]  # what follows `java -cp JAR`
    gcloud: tuple[str, ...]  # the same through gcloud
    ready: str  # what it prints once it has bound its port


_FIRESTORE = _Emulator(
    name="Firestore",
    component="cloud-firestore-emulator",
    jar="cloud-firestore-emulator*.jar",
    start=("com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"),
    gcloud=("emulators", "firestore", "start"),
    ready="is now running",
)
_PUBSUB = _Emulator(
    name="Pub/Sub",
    component="pubsub-emulator",
    jar="lib/cloud-pubsub-emulator*.jar",
    start=("com.google.cloud.pubsub.testing.v1.Main",),
    gcloud=("beta", "emulators", "pubsub", "start"),
    ready="Server started, listening on",
)


def unavailable() -> str | None:
    """Return what is missing to start both emulators, or None.

    It may ask gcloud, which takes a second the first time.
    """
    return _missing(_FIRESTORE) or _missing(_PUBSUB)


@asynccontextmanager
async def firestore_emulator(port: int = 0) -> AsyncIterator[str]:
    """Run Google's Firestore emulator; yields "127.0.0.1:port" once it answers.

    Port 0 takes a free one. Raises EmulatorError.
    """
    async with _running(_FIRESTORE, port) as address:
        yield address


@asynccontextmanager
async def pubsub_emulator(project: str | None = None, port: int = 0) -> AsyncIterator[str]:
    """Run Google's Pub/Sub emulator, which then knows only `project`, or all if it is None.

    Otherwise as `firestore_emulator`.
    """
    options = (f"--projects={project}",) if project else ()
    async with _running(_PUBSUB, port, *options) as address:
        yield address


@asynccontextmanager
async def _running(emulator: _Emulator, port: int, *options: str) -> AsyncIterator[str]:
    if missing := await asyncio.to_thread(_missing, emulator):
        raise EmulatorError(f"The {emulator.name} emulator can't start: {missing}.")
    async with AsyncExitStack() as running:
        yield await _started(emulator, port, options, running)


async def _started(
    emulator: _Emulator, port: int, options: tuple[str, ...], running: AsyncExitStack
) -> str:
    """Start it, on other ports if one is taken, and leave it to `running` to end it."""
    for _ in range(1 if port else _ATTEMPTS):
        async with AsyncExitStack() as attempt:
            free = port or attempt.enter_context(reserved_port())
            address = f"{HOST}:{free}"
            folder = Path(attempt.enter_context(tempfile.TemporaryDirectory(prefix="emulator-")))
            log = folder / "output"
            command = _command(emulator, address, options)
            process = await attempt.enter_async_context(child(command, os.environ, log, folder))
            try:
                await _until_ready(emulator, address, process, log)
            except _PortTaken:
                continue
            running.push_async_exit(attempt.pop_all())
            return address
    raise EmulatorError(f"The {emulator.name} emulator can't start: {address} is taken.")


async def _until_ready(
    emulator: _Emulator, address: str, process: asyncio.subprocess.Process, log: Path
) -> None:
    """Wait until it has bound the port itself, as its own output tells, and speaks gRPC there.

    The output decides who owns the port: to connect alone would also succeed with another server.
    Google's Pub/Sub emulator neither exits nor answers when its port is taken.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while emulator.ready not in (output := _printed(log)):
                if _PORT_TAKEN in output:
                    raise _PortTaken
                if process.returncode is not None:
                    raise EmulatorError(_story(emulator, f"ended ({process.returncode})", log))
                await asyncio.sleep(_LOOK_SECONDS)
            async with grpc.aio.insecure_channel(address) as channel:
                await channel.channel_ready()
    except TimeoutError as error:
        silent = f"was not ready on {address} after {START_SECONDS:g} s"
        raise EmulatorError(_story(emulator, silent, log)) from error


def _story(emulator: _Emulator, what: str, log: Path) -> str:
    output = _printed(log)[-_SHOWN_CHARACTERS:].strip()
    return f"The {emulator.name} emulator {what}. Its output ends:\n{output}"


def _printed(log: Path) -> str:
    return log.read_text(errors="replace")


def _command(emulator: _Emulator, address: str, options: tuple[str, ...]) -> tuple[str, ...]:
    host, port = address.split(":")
    if jar := _jar(emulator):
        flags = (f"--host={host}", f"--port={port}", *options)
        return (*_JAVA, "-cp", str(jar), *emulator.start, *flags)
    # The flags of the jar are not gcloud's: there the emulator takes every project.
    gcloud = ("gcloud", "--quiet", *emulator.gcloud, f"--host-port={address}")
    return (sys.executable, "-c", _SESSION, *gcloud)


def _missing(emulator: _Emulator) -> str | None:
    if shutil.which("gcloud") is None:
        return "gcloud is not installed"
    if shutil.which("java") is None:
        return "java is not installed"
    folder = _folder(emulator)
    if folder is None or not folder.is_dir():
        return f"gcloud's component {emulator.component} is not installed"
    return None


def _jar(emulator: _Emulator) -> Path | None:
    folder = _folder(emulator)
    return next(iter(sorted(folder.glob(emulator.jar))), None) if folder else None


def _folder(emulator: _Emulator) -> Path | None:
    gcloud = shutil.which("gcloud")
    root = _sdk_root(gcloud) if gcloud else None
    return root / "platform" / emulator.component if root else None


@cache
def _sdk_root(gcloud: str) -> Path | None:
    """Return the folder of the Cloud SDK, that gcloud's own file lies in or that it names."""
    beside = Path(gcloud).resolve().parents[1]
    if (beside / "platform").is_dir():
        return beside
    asked = subprocess.run(  # noqa: S603 -- the command is gcloud as found on the PATH
        [gcloud, "info", "--format=value(installation.sdk_root)"],
        capture_output=True,
        check=False,
        text=True,
    )
    return Path(asked.stdout.strip()) if asked.stdout.strip() else None
