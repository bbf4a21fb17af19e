"""Sends a client away for good: its socket is closed, and it does not connect again by itself."""

from functions.clients.connection import Connection, Wire
from functions.ports.sockets import Gone, Sockets
from functions.wire import socketio


async def dismiss(sockets: Sockets, connection: Connection) -> bool:
    """Gives whether the socket was still there; that it had gone may not be recorded yet.

    Costs 1 DELETE, and 1 POST before it for each namespace of a Socket.IO client, which would come
    back at once if just its socket closed. One whose socket has not taken over its session may:
    that session goes on, and it may well be a bad network that has kept it from upgrading. Raises
    Refused and PostFailed.
    """
    was_told = False
    try:
        if connection.wire is not Wire.JSON and not connection.upgrades:
            for namespace in (*connection.also_in, connection.namespace):
                await sockets.post(connection.id, socketio.encode_goodbye(namespace))
                was_told = True  # and may close the socket itself, before we do
        await sockets.close(connection.id)
    except Gone:
        return was_told
    return True
