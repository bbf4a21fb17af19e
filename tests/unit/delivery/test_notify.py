"""One event to many connections: who has it, and that one's trouble is nobody else's."""

import json
from dataclasses import replace
from datetime import timedelta

from functions.calls.call import ConnectionId, UserId
from functions.clients.connection import Connection, Wire
from functions.delivery.notify import notify
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.support.makers import CALL, CODECS, RECEIVER, event, now


def connection(id: str, wire: Wire = Wire.JSON, *, is_open: bool = True) -> Connection:
    expires = now() + timedelta(hours=2)
    return Connection(ConnectionId(id), RECEIVER, wire, now(), expires, is_open=is_open)


def ids(connections: list[Connection]) -> set[str]:
    return {connection.id for connection in connections}


async def test_each_connection_is_sorted_by_what_became_of_its_frame(
    services: Services, clients: Clients
) -> None:
    clients.answers |= {"gone=": [410], "odd=": [413], "busy=": [429]}
    services.faults.hold("connections.POST", "silent=")
    told = [connection(id) for id in ("good=", "gone=", "odd=", "busy=", "silent=")]
    report = await notify(services.sockets, CODECS, told, event(), within=timedelta(seconds=1))
    assert ids(report.served) == {"good="}
    assert ids(report.gone) == {"gone="}
    assert ids(report.refused) == {"odd="}
    assert ids(report.failed) == {"busy=", "silent="}
    assert json.loads(clients.posts[0][1])["data"]["callId"] == CALL


async def test_a_connection_whose_session_is_not_open_is_not_posted_to(
    services: Services, clients: Clients
) -> None:
    told = [connection("young=", Wire.EIO4, is_open=False), connection("open=", Wire.EIO4)]
    report = await notify(services.sockets, CODECS, told, event())
    alone = await notify(services.sockets, CODECS, told[:1], event())
    assert (ids(report.served), ids(report.gone)) == ({"open="}, {"young="})
    assert ids(alone.gone) == {"young="}
    assert [id for id, _ in clients.posts] == ["open="]


async def test_what_nobody_foresaw_fails_that_connection_alone(services: Services) -> None:
    def broken(connection: ConnectionId, text: str) -> int:
        if connection == "odd=":
            raise RuntimeError("an error that is none of the port's own")
        return services.clients.take(connection, text)

    sockets = replace(services.websockets, client=broken)
    report = await notify(sockets, CODECS, [connection("odd="), connection("good=")], event())
    assert (ids(report.failed), ids(report.served)) == ({"odd="}, {"good="})


async def test_a_connection_that_has_changed_hands_is_not_told(
    services: Services, clients: Clients
) -> None:
    others = replace(connection("1="), user=UserId("USR_3"))
    report = await notify(services.sockets, CODECS, [others, connection("2=")], event())
    assert ids(report.served) == {"2="}
    assert [id for id, _ in clients.posts] == ["2="]


async def test_nobody_to_tell_is_no_trouble(services: Services) -> None:
    report = await notify(services.sockets, CODECS, [], event())
    assert report.served == report.failed == []
