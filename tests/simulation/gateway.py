"""API Gateway: the clients' sockets, whose frames it forwards each as a request of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Protocol

from starlette.responses import Response

from functions.calls.call import ConnectionId
from tests.simulation.functions import SECRET, Functions
from tests.simulation.handling import Handling, current
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather

_TIMEOUT = 29.0  # seconds that it waits for a function
ERROR = '{"message": "Internal server error"}'


class Client(Protocol):
    """Whoever holds the other end of a socket."""

    def opened(self) -> None: ...
    def refused(self, status: int) -> None: ...
    def ended(self) -> None: ...
    def receive(self, text: str, told_by: Handling | None) -> None:
        """A frame: a reply, or posted to the socket while that request was handled."""


class State(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    CLOSED = auto()


@dataclass(eq=False, slots=True)
class Socket:
    id: ConnectionId
    client: Client
    state: State = State.HANDSHAKE
    is_half_open: bool = False  # the client is gone, and nobody has noticed


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request of API Gateway's, got at `milliseconds`; `answered` is given its reply, if any."""

    handling: Handling
    milliseconds: int


class ApiGateway:
    def __init__(self, stage: Stage, weather: Weather, functions: Callable[[], Functions]) -> None:
        self._stage = stage
        self._weather = weather
        self._functions = functions
        self._sockets: dict[str, Socket] = {}

    # What clients do

    def connect(self, client: Client, headers: Mapping[str, str]) -> tuple[Socket, Forwarded]:
        socket = Socket(ConnectionId(f"c{self._stage.number()}"), client)
        self._sockets[socket.id] = socket
        end = partial(self._connected, socket)
        return socket, self._forward(socket, "CONNECT", headers, b"", end)

    def send(
        self,
        socket: Socket,
        text: str,
        said: object = None,
        answered: Callable[[str | None], None] | None = None,
    ) -> Forwarded:
        """`answered` is told the reply even if the client is gone by then."""

        def end(response: Response | None) -> None:
            is_well = response is not None and response.status_code == 200
            reply = bytes(response.body).decode() if response and is_well else None
            if answered:
                answered(reply)
            self._stage.later(self._stage.hop(), partial(self._reply, socket, reply or ERROR))

        return self._forward(socket, "MESSAGE", {}, text.encode(), end, said)

    def close(self, socket: Socket) -> Forwarded | None:
        """None if API Gateway does not tell anybody."""
        was_open = socket.state is not State.CLOSED
        socket.state = State.CLOSED
        if not was_open:
            return None
        stage = self._stage
        if self._weather.is_bad(stage.now) and stage.chance(self._weather.disconnect_lost):
            stage.say(f"*** the $disconnect of {socket.id} is lost")
            return None
        return self._forward(socket, "DISCONNECT", {}, b"", _ignore)

    # What the functions do

    def post(self, connection: ConnectionId, text: str) -> int:
        """The status of a POST to @connections."""
        socket = self._sockets.get(connection)
        if socket is None or socket.state is not State.OPEN:
            return 410
        if not socket.is_half_open:
            socket.client.receive(text, current.get())
        return 200

    def delete(self, connection: ConnectionId) -> int:
        """The status of a DELETE to @connections, which closes the socket."""
        socket = self._sockets.get(connection)
        if socket is None or socket.state is not State.OPEN:
            return 410
        socket.client.ended()
        return 204

    # On the way

    def _forward(
        self,
        socket: Socket,
        event_type: str,
        headers: Mapping[str, str],
        body: bytes,
        end: Callable[[Response | None], None],
        said: object = None,
    ) -> Forwarded:
        about = f"{event_type} of {socket.id} {body.decode()}"
        handling = Handling(self._stage.number(), "gateway", about, said=said)
        milliseconds = self._stage.loop.milliseconds()
        self._stage.say(f"{handling} is to handle", about)
        mapped = {
            **headers,
            "unring-secret": SECRET,
            "unring-connection-id": socket.id,
            "unring-event-type": event_type,
            "unring-request-time": str(milliseconds),
        }
        way = self._stage.hop()
        deadline = self._stage.later(_TIMEOUT, partial(end, None))

        def answer(response: Response | None) -> None:
            if self._stage.now < deadline.when():
                deadline.cancel()
                end(response)

        self._stage.later(way, partial(self._functions().call, handling, mapped, body, answer))
        return Forwarded(handling, milliseconds)

    def _connected(self, socket: Socket, response: Response | None) -> None:
        status = response.status_code if response else 500
        self._stage.later(self._stage.hop(), partial(self._open, socket, status))

    def _open(self, socket: Socket, status: int) -> None:
        if socket.state is State.CLOSED:
            return
        if status == 200:
            socket.state = State.OPEN
            socket.client.opened()
        else:
            socket.state = State.CLOSED
            socket.client.refused(status)

    def _reply(self, socket: Socket, text: str) -> None:
        if socket.state is State.OPEN and not socket.is_half_open:
            socket.client.receive(text, None)


def _ignore(_: Response | None) -> None:
    """Nobody waits for it."""
