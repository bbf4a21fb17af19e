"""The peer: the Socket.IO server on Node that Unring takes the place of, beside this file."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from infra import ROOT, node
from infra.bench.generator import Server
from infra.emulators.processes import child, reserved_port
from infra.local.stack import Stack

_HERE = Path(__file__).parent / "peer"
_MODULES = ROOT / ".unring" / "peer"
_START_SECONDS = 20.0
_POLL_SECONDS = 0.05


@asynccontextmanager
async def running(stack: Stack) -> AsyncIterator[Server]:
    """Runs the peer on the Firestore and the FCM of `stack`. Raises NodeUnavailable, also where it
    does not start."""
    await asyncio.to_thread(node.install, _HERE / "package.json", _MODULES)
    log = stack.logs / "peer.log"
    with reserved_port() as port:
        environment = {
            "PATH": os.environ["PATH"],
            "NODE_ENV": "production",
            "NODE_PATH": str(_MODULES / "node_modules"),
            "GOOGLE_CLOUD_PROJECT": stack.project,
            "FIRESTORE_EMULATOR_HOST": stack.firestore,
            "FCM_URL": stack.fcm.url,
            "PORT": str(port),
        }
        async with child(["node", str(_HERE / "server.js")], environment, log) as process:
            url = f"http://127.0.0.1:{port}"
            await _until_it_answers(url, process, log)
            yield Server(url, {"node": process.pid})


async def _until_it_answers(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while process.returncode is None:
                try:
                    await http.get(url)
                except httpx.HTTPError:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return
    said = await asyncio.to_thread(log.read_text)
    raise node.NodeUnavailable(f"the peer has not started:\n{said[-2000:]}")
