"""API Gateway's headers: what is believed, and what is refused."""

from datetime import UTC, datetime

import pytest
from starlette.datastructures import Headers

from functions.clients.connection import Wire
from functions.inbound.apigateway import (
    Forwarded,
    NotMapped,
    NotSupported,
    handshake_in,
    is_from_api_gateway,
    subprotocol_for,
)
from functions.sessions.accept import Handshake

GOOD = {
    "unring-connection-id": "Dxe94t_sVUdIB2Q=",
    "unring-event-type": "MESSAGE",
    "unring-request-time": "1700000000123",
}


def headers(*more: tuple[str, str], **changes: str) -> Headers:
    named = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    pairs = [*named.items(), *more]
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


def test_a_request_is_what_its_mapped_headers_say() -> None:
    forwarded = Forwarded.read(headers())
    assert forwarded.connection == "Dxe94t_sVUdIB2Q="
    assert forwarded.event_type == "MESSAGE"
    assert forwarded.received_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)


@pytest.mark.parametrize("name", ["unring-connection-id", "unring-event-type"])
@pytest.mark.parametrize("value", ["", "a,b"])
def test_a_header_that_is_missing_or_was_joined_is_refused(name: str, value: str) -> None:
    with pytest.raises(NotMapped, match=name):
        Forwarded.read(headers(**{name: value}))


@pytest.mark.parametrize("name", GOOD)
def test_a_header_that_comes_twice_is_refused(name: str) -> None:
    with pytest.raises(NotMapped, match=name):
        Forwarded.read(headers((name, GOOD[name])))


@pytest.mark.parametrize("id", ["a/b", ".", "..", "__id__", "x" * 1501])
def test_a_connection_id_that_names_no_document_is_refused(id: str) -> None:
    with pytest.raises(NotMapped):
        Forwarded.read(headers(unring_connection_id=id))


@pytest.mark.parametrize("time", ["", "soon", "-1", "1e3", "9" * 40, "\xb2"])
def test_a_time_that_makes_no_sense_is_not_known(time: str) -> None:
    assert Forwarded.read(headers(unring_request_time=time)).received_at is None


def test_the_header_wins_over_the_query() -> None:
    both = headers(unring_authorization="Bearer one", unring_token="two", unring_user_id="USR_1")
    assert handshake_in(both) == Handshake(Wire.JSON, "one", "USR_1", in_query="two")
    read = handshake_in(headers(unring_token="two"))
    assert read == Handshake(Wire.JSON, "two", None, in_query="two")


def test_a_ring_token_is_read_from_the_query() -> None:
    read = handshake_in(headers(unring_ring="ring.x", unring_token="two"))
    assert read == Handshake(Wire.JSON, "two", None, "ring.x", in_query="two")
    assert handshake_in(headers(unring_ring="ring.x")).in_query == "ring.x"


def test_the_session_that_a_handshake_goes_on_with_is_read_from_the_query() -> None:
    read = handshake_in(headers(unring_eio="4", unring_transport="websocket", unring_sid="poll-1"))
    assert read == Handshake(Wire.EIO4, None, None, sid="poll-1")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer  ", "Basic dXNlcg==", "one"])
def test_an_authorization_that_is_no_bearer_token_is_none(value: str) -> None:
    read = handshake_in(headers(unring_authorization=value))
    assert read == Handshake(Wire.JSON, None, None)


def test_a_user_id_is_read_as_the_client_wrote_it() -> None:
    assert handshake_in(headers(unring_user_id="\xc3\xa9")).user == "é"
    assert handshake_in(headers(unring_user_id="\xe9")).user == "\xe9"  # nobody's


def test_a_user_id_may_hold_a_comma() -> None:
    assert handshake_in(headers(unring_user_id="a,b")).user == "a,b"


@pytest.mark.parametrize(("protocol", "wire"), [("3", Wire.EIO3), ("4", Wire.EIO4)])
def test_a_handshake_that_names_an_engine_io_protocol_is_socket_ios(
    protocol: str, wire: Wire
) -> None:
    read = handshake_in(headers(unring_eio=protocol, unring_transport="websocket"))
    assert read == Handshake(wire, None, None)


def test_a_handshake_that_names_no_protocol_is_a_json_clients() -> None:
    assert handshake_in(headers(unring_eio="")).wire is Wire.JSON
    assert handshake_in(headers(unring_transport="polling")).wire is Wire.JSON


def test_a_client_that_names_its_transport_and_no_version_is_of_version_3() -> None:
    assert handshake_in(headers(unring_transport="websocket")).wire is Wire.EIO3


@pytest.mark.parametrize("protocol", ["0", "2", "5", "44", " 4", "4 ", "4,4", "four", "\xb3", "-4"])
def test_another_engine_io_protocol_is_not_supported(protocol: str) -> None:
    with pytest.raises(NotSupported, match="EIO must be one of 3, 4"):
        handshake_in(headers(unring_eio=protocol, unring_transport="websocket"))


@pytest.mark.parametrize("transport", ["", "polling", "WebSocket", "websocket,websocket"])
@pytest.mark.parametrize("protocol", ["3", "4"])
def test_another_transport_of_socket_ios_is_not_supported(protocol: str, transport: str) -> None:
    with pytest.raises(NotSupported, match="transport must be websocket"):
        handshake_in(headers(unring_eio=protocol, unring_transport=transport))


@pytest.mark.parametrize(
    "name",
    ["authorization", "token", "user-id", "eio", "transport", "subprotocol", "ring", "sid"],
)
def test_what_a_client_says_twice_is_refused(name: str) -> None:
    said = (f"unring-{name}", "websocket" if name == "transport" else "4")
    twice = headers(("unring-eio", "4"), ("unring-transport", "websocket"), said, said)
    with pytest.raises(NotMapped, match=f"unring-{name}"):
        handshake_in(twice)


@pytest.mark.parametrize(
    ("offered", "chosen", "token"),
    [
        ("", None, None),
        (" , ", None, None),
        ("unring", "unring", None),
        ("v2.unring, unring", "v2.unring", None),
        ("unring, bearer.a.b-c_d", "unring", "a.b-c_d"),
        ("bearer.a.b.c,unring", "unring", "a.b.c"),
        ("bearer.a.b.c", "bearer.a.b.c", "a.b.c"),  # a browser wants one of them back
        ("bearer.first, bearer.second", "bearer.first", "first"),
    ],
)
def test_of_subprotocols_the_first_that_is_no_token_is_chosen_and_the_token_is_taken(
    offered: str, chosen: str | None, token: str | None
) -> None:
    said = headers(unring_subprotocol=offered)
    assert subprotocol_for(said) == chosen
    assert handshake_in(said).token == token


def test_a_token_in_a_header_or_the_query_wins_over_one_among_the_subprotocols() -> None:
    offered = {"unring_subprotocol": "bearer.offered"}
    assert handshake_in(headers(unring_token="query", **offered)).token == "query"
    header = {"unring_authorization": "Bearer header"}
    assert handshake_in(headers(**header, **offered)).token == "header"


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ([], False),
        ([""], False),
        (["current secret"], True),
        (["previous secret"], True),
        (["current secret "], False),
        (["current secret", "current secret"], False),
        (["current secret,current secret"], False),
    ],
)
def test_one_of_two_secrets_opens_the_door(given: list[str], accepted: bool) -> None:
    secret_headers = headers(*[("unring-secret", value) for value in given])
    secrets = ["current secret", "previous secret"]
    assert is_from_api_gateway(secret_headers, secrets) is accepted
    assert not is_from_api_gateway(secret_headers, [])
