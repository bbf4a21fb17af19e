"""One event to many connections: who has it, and that one's trouble is nobody else's."""

import json
from datetime import timedelta

import httpx

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.delivery.notify import notify
from functions.services.apigateway import ApiGatewaySockets
from tests.support.connections import ConnectionsServer
from tests.support.makers import CALL, RECEIVER, event, now


def connection(id: str, wire: Wire = Wire.JSON, *, is_open: bool = True) -> Connection:
    expires = now() + timedelta(hours=2)
    return Connection(ConnectionId(id), RECEIVER, wire, now(), expires, is_open=is_open)


def ids(connections: list[Connection]) -> set[str]:
    return {connection.id for connection in connections}


async def test_each_connection_is_sorted_by_what_became_of_its_frame(
    connections: ConnectionsServer,
) -> None:
    connections.answers |= {"gone=": [410], "odd=": [413], "busy=": [429], "silent=": [0]}
    told = [connection(id) for id in ("good=", "gone=", "odd=", "busy=", "silent=")]
    async with httpx.AsyncClient() as http:
        sockets = ApiGatewaySockets(http, connections.url)
        report = await notify(sockets, told, event(), within=timedelta(seconds=1))
    assert ids(report.served) == {"good="}
    assert ids(report.gone) == {"gone="}
    assert ids(report.refused) == {"odd="}
    assert ids(report.failed) == {"busy=", "silent="}
    assert json.loads(connections.posts[0][1])["data"]["callId"] == CALL


async def test_a_connection_whose_session_is_not_open_is_not_posted_to(
    connections: ConnectionsServer,
) -> None:
    told = [connection("young=", Wire.EIO4, is_open=False), connection("open=", Wire.EIO4)]
    async with httpx.AsyncClient() as http:
        sockets = ApiGatewaySockets(http, connections.url)
        report = await notify(sockets, told, event())
        alone = await notify(sockets, told[:1], event())
    assert (ids(report.served), ids(report.gone)) == ({"open="}, {"young="})
    assert ids(alone.gone) == {"young="}
    assert [id for id, _ in connections.posts] == ["open="]


async def test_what_nobody_foresaw_fails_that_connection_alone(
    connections: ConnectionsServer,
) -> None:
    async with httpx.AsyncClient() as http:
        sockets = ApiGatewaySockets(http, connections.url)
        # A surrogate can't be encoded into a URL: an error that is none of the client's own.
        report = await notify(sockets, [connection("\ud800"), connection("good=")], event())
    assert (len(report.failed), ids(report.served)) == (1, {"good="})


async def test_nobody_to_tell_is_no_trouble(connections: ConnectionsServer) -> None:
    async with httpx.AsyncClient() as http:
        report = await notify(ApiGatewaySockets(http, connections.url), [], event())
    assert report.served == report.failed == []
