"""Child processes that never outlive their parent, however it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_GRACE_SECONDS = 2.0  # functions-framework takes one

# Runs in the child before the command itself: on Linux, the kernel then ends the child when the
# parent dies, even by SIGKILL. (A preexec_fn would do it too, but is not safe beside threads.)
_LAUNCH = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != parent:
    sys.exit("the parent is gone already")
os.execvp(sys.argv[2], sys.argv[2:])
"""


@asynccontextmanager
async def child(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    *,
    append: bool = False,
    pass_fds: Collection[int] = (),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `command` in a process group of its own, with all that it prints in `log`.

    Of our open files it has those of `pass_fds`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab" if append else "wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _LAUNCH,
            str(os.getpid()),
            *command,
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    try:
        yield process
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """Ends the process and its whole group: asked first, then made to."""
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    _signal_group(process, signal.SIGKILL)
    await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """Ends the process and its whole group at once, as a crash does."""
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # The group outlives its leader as long as one member lives, and its id is not reused.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def reserved_port(port: int = 0) -> Iterator[int]:
    """A port of 127.0.0.1 for a child process, that nobody else is given while the block lasts.

    Whoever connects is refused until the child listens. 0 takes a free port. Raises OSError when
    the port is taken.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        number: int = held.getsockname()[1]
        if sys.platform != "linux":
            # Only Linux lets a server, which sets the same option, bind a port that another socket
            # is bound to and does not listen on. Elsewhere the port was free a moment ago.
            held.close()
        yield number
