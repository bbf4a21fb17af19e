"""What a POST to @connections and one to FCM cost in CPU: `python -m tests.postcost`, on each event
loop.

The server is a process of its own, so that only our side of it is counted.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import process_time

import uvloop

from functions.calls.call import ConnectionId
from functions.clients.device import Device, FcmToken, Platform, device_id
from functions.services import apigateway, fcm
from functions.settings import PushSettings, SocketsSettings
from tests.support.makers import RECEIVER, event, now
from tests.support.processes import settings_of

_POSTS = 3_000
_WARM_UP = 200
_TO = ConnectionId("VNRUSeldSwMCIRQ=")
_TOKEN = FcmToken("t" * 142)  # as long as most
_TEXT = '{"event": "call:cancelled", "data": {"callId": "CALL_1", "reason": "cancelled"}}'
_SERVER = """
import asyncio

class Server(asyncio.Protocol):
    body = b""  # nothing to whoever posts to a socket
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if b"messages:send" in data:
            self.body = b"{}"
        if data.endswith(b"}"):
            head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(self.body)
            self.transport.write(head + self.body)

async def serve():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1")
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(serve())
"""


async def costs(url: str) -> tuple[float, float]:
    """CPU of one post of many, one after the other, in milliseconds: to a socket, and to FCM."""
    connections = f"{url}/prod/@connections"
    sockets = apigateway.connect(settings_of(SocketsSettings, CONNECTIONS_URL=connections))
    sender = fcm.connect(settings_of(PushSettings, FCM_URL=url))
    made, expires = event(), now() + timedelta(days=1)
    device = Device(device_id(_TOKEN), RECEIVER, _TOKEN, Platform.ANDROID, expires, now())
    return (
        await _cost(lambda: sockets.post(_TO, _TEXT)),
        await _cost(lambda: sender.send(made, made.recipients[0], device, now())),
    )


async def _cost(post: Callable[[], Awaitable[object]]) -> float:
    for _ in range(_WARM_UP):
        await post()
    start = process_time()
    for _ in range(_POSTS):
        await post()
    return (process_time() - start) / _POSTS * 1000


def main() -> None:
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for loop in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=loop) as runner:
                to_socket, to_fcm = runner.run(costs(url))
                print(f"{loop.__module__}: to a socket {to_socket:.2f} ms, to FCM {to_fcm:.2f} ms")
        server.terminate()


if __name__ == "__main__":
    main()
