"""What a POST to @connections costs in CPU: `python -m tests.postcost`, on each event loop.

The server is a process of its own, so that only our side of it is counted.
"""

import asyncio
import subprocess
import sys
from time import process_time

import uvloop

from functions.calls.call import ConnectionId
from functions.services import apigateway
from functions.settings import SocketsSettings
from tests.support.processes import settings_of

_POSTS = 3_000
_WARM_UP = 200
_TEXT = '{"event": "call:cancelled", "data": {"callId": "CALL_1", "reason": "cancelled"}}'
_SERVER = """
import asyncio

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if data.endswith(b"}"):
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")

async def serve():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1")
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(serve())
"""


async def cost(url: str) -> float:
    """CPU of one POST of many, one after the other, in milliseconds."""
    sockets = apigateway.connect(settings_of(SocketsSettings, CONNECTIONS_URL=url))
    for _ in range(_WARM_UP):
        await sockets.post(ConnectionId("VNRUSeldSwMCIRQ="), _TEXT)
    start = process_time()
    for _ in range(_POSTS):
        await sockets.post(ConnectionId("VNRUSeldSwMCIRQ="), _TEXT)
    return (process_time() - start) / _POSTS * 1000


def main() -> None:
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/prod/@connections"
        for loop in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=loop) as runner:
                print(f"{loop.__module__}: {runner.run(cost(url)):.2f} ms")
        server.terminate()


if __name__ == "__main__":
    main()
