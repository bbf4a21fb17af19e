"""What no request of a client that polls can do: break a function, act for others, or keep them
out by sheer number."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from google.cloud.firestore import AsyncClient, DocumentSnapshot

from infra.local.stack import Stack
from tests.proof.hostile.conftest import Victim
from tests.support.collections import CONNECTIONS, POLLS
from tests.support.pollers import SEPARATOR, UNKNOWN, Poller, begun, let_in, packets_in, refusal

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("beside")]

STRANGER = "USR_STRANGER"
MALFORMED = 400, 3
MEGABYTE = 1024 * 1024
_MOST_PACKETS = 64


@pytest.fixture
def stack(polling_stack: Stack) -> Stack:
    return polling_stack


def cancel(victim: Victim) -> str:
    return f'42["call:cancel",{json.dumps({"callId": victim.ids.call})}]'


# Payloads


async def test_a_payload_that_is_too_large_is_refused_and_not_carried_out(victim: Victim) -> None:
    before = await victim.state()
    first = cancel(victim) + SEPARATOR
    for content in (first + "4" * MEGABYTE, first + "2" * 131_072, "4" * (MEGABYTE * 9)):
        answer = await victim.poller.post(content)
        assert (answer.status_code, answer.json()["message"]) == (413, "the request is too large")
        streamed = await to_function(victim.poller, content)
        assert streamed.status_code == 413
    for packet in ("4" * 33_000, f"42[{'1,' * 20_000}1]", "2" * 40_000):
        assert refusal(await victim.poller.post(first + packet)) == MALFORMED
    assert await victim.state() == before
    await victim.is_well()


async def to_function(poller: Poller, content: str) -> httpx.Response:
    """Sent to the function itself, which is not told how long it is."""

    async def chunks() -> AsyncIterator[bytes]:
        for first in range(0, len(content), 50_000):
            yield content[first : first + 50_000].encode()

    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        url = f"{poller.stack.functions['api']}/socket.io/"
        return await http.post(url, params=dict(poller.query), content=chunks())


async def test_what_comes_slowly_or_never_ends_is_not_carried_out(
    stack: Stack, victim: Victim
) -> None:
    before = await victim.state()
    host, port = urlsplit(stack.functions["api"]).hostname, urlsplit(stack.functions["api"]).port
    request = httpx.Request("POST", stack.functions["api"], params=dict(victim.poller.query))
    target = f"/socket.io/?{request.url.query.decode()}"
    body = cancel(victim).encode()
    writers = []
    for number in range(30):  # as many at once as an instance may well have
        _, writer = await asyncio.open_connection(host, port)
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 1}\r\n\r\n"
        writer.write(head.encode() + body[: number + 4 if number % 2 else None])
        await writer.drain()
        writers.append(writer)
    assert await victim.state() == before  # and he may go on, as others may
    for writer in writers:
        writer.close()
    await victim.is_well()


async def test_of_a_payload_with_too_many_packets_none_is_carried_out(victim: Victim) -> None:
    before = await victim.state()
    poller = victim.poller
    for packets in (
        [cancel(victim), *["2"] * _MOST_PACKETS],
        [cancel(victim)] * (_MOST_PACKETS + 1),
        [cancel(victim), *[""] * 100_000],
        [""] * 10,
    ):
        assert refusal(await poller.post(SEPARATOR.join(packets))) == MALFORMED, len(packets)
    assert await victim.state() == before
    await victim.is_well()


OF_BOTH = [
    *(b"", b" ", b"\n", b"\0", b"x", b"7", b"9", b"-", b"{}", b"[]", b"null", b'"4"', b"\xff\xfe"),
    *(b"\xed\xa0\x80", b"\xc0\xaf", b"d=4hello", b"--x\r\n", b"\x1f\x8b\x08", b"4\xff"),
]
OF_VERSION_3 = [
    *(b"1", b"1:", b"0:", b"-1:4", b"01:4", b"1 :4", b" 1:4", b"1:4x", b"2:4", b"99999999:4"),
    *(b"1:4" * 65, b"1:41:", "1:é".encode(), "1:\U0001f600".encode(), b"1:\0", b"::", b"5:42[]"),
    *(b"\x00\x01\xff4", b"\x01\x01\xff4", "٣:412".encode(), b"1e1:4", b"0x1:4", b"+1:4"),
]
OF_VERSION_4 = [
    *(b"\x1e", b"4\x1e", b"\x1e4", b"42[]\x1e\x1e42[]", b"42[]\x1ex", b"x:4", b"\x1e" * 100_000),
]


@pytest.mark.parametrize("version", ["3", "4"])
async def test_what_is_no_payload_is_refused_with_a_reason(
    stack: Stack, http: httpx.AsyncClient, victim: Victim, secrets: list[str], version: str
) -> None:
    token = {"token": stack.token(victim.ids.caller)} if version == "3" else {}
    poller = await begun(stack, http, version=version, secrets=secrets, **token)
    if version == "4":
        poller = victim.poller
    own = OF_VERSION_3 if version == "3" else OF_VERSION_4
    before = await victim.state()
    for payload in (*OF_BOTH, *own):
        assert refusal(await poller.post(payload)) == MALFORMED, payload[:50]
    # Nor is a good packet that comes with it.
    for bad in ("x", "", "{}", "é", "\0"):
        assert refusal(await poller.post(poller.payload(cancel(victim), bad))) == MALFORMED, bad
    assert await victim.state() == before
    await victim.is_well()


async def test_frames_of_the_json_wire_are_no_packets(victim: Victim) -> None:
    before = await victim.state()
    data = {"callId": victim.ids.call}
    for frame in (
        json.dumps({"event": "call:cancel", "data": data, "id": 1}),
        json.dumps(["call:cancel", data]),
        f" {cancel(victim)}",
        f'"{cancel(victim)}"',
    ):
        assert refusal(await victim.poller.post(frame)) == MALFORMED, frame
    assert await victim.state() == before
    await victim.is_well()


async def test_packets_that_ask_for_nothing_do_nothing(victim: Victim) -> None:
    poller, ids = victim.poller, victim.ids
    text = cancel(victim).removeprefix("4")
    deep = "[" * 10_000 + "]" * 10_000
    before = await victim.state()
    for packet in (
        *("b", "bx", "b4AAAA", f"b{base64.b64encode(text.encode()).decode()}", f"b4{text}"),
        *("0", f"0{text}", "3", "3probe", "6", "4", "4x", "42", "42{}", "42[]", "42null", "49[]"),
        *(f"42{deep}", f'42["call:cancel",{deep}]', f'42["call:cancel",{{"callId":{deep}}}'),
        *(f"452-{text}", f"451-{text}", f"43{text}", f"44{text}", f"42/admin,{text}"),
        *(f"42[{text}]", f"42{text}"[:-1], f"5{text}", f"6{text}", "5", "5x"),
        *(
            f'42["call:cancel",[{json.dumps(ids.call)}]]',
            f'42["__proto__",{{"callId":"{ids.call}"}}]',
        ),
    ):
        answer = await poller.post(packet)
        assert (answer.status_code, answer.text) == (200, "ok"), packet[:50]
        await poller.get()
    after = await victim.state()
    call = f"calls/{ids.call}"
    assert after[call] == before[call]
    assert after.keys() == before.keys()
    await victim.is_well()


async def test_what_a_client_says_and_never_hears_fills_nothing(
    stack: Stack, http: httpx.AsyncClient, secrets: list[str], victim: Victim
) -> None:
    """Each reply waits for a poll, which never comes."""
    own = await let_in(stack, http, STRANGER, secrets=secrets)
    answers: Counter[tuple[int, str]] = Counter()
    ping = "2" + "x" * 30_000
    for _ in range(12):
        answer = await own.post(SEPARATOR.join([ping] * 4))
        answers[answer.status_code, answer.text[:60]] += 1
        await asyncio.sleep(0.2)  # at the rate that is allowed
    assert set(answers) == {(200, "ok")}
    assert max(map(len, await own.packets())) < 1_000
    await victim.is_well()


# Floods


async def test_who_polls_without_a_pause_keeps_nobody_out_but_himself(victim: Victim) -> None:
    answers = await asyncio.gather(*(victim.poller.get() for _ in range(200)))
    refused = {refusal(answer) for answer in answers if answer.status_code != 200}
    # He polls too often, or the instance holds as many polls as it may.
    assert refused <= {(429, 3), (503, 3)}
    await may_poll_again(victim.poller)
    await victim.is_well()


async def may_poll_again(poller: Poller) -> None:
    """Waits until a poll is answered as always: that is a matter of a moment."""
    while (answer := await poller.get()).status_code in (429, 503):  # noqa: ASYNC110 - it is told nothing
        await asyncio.sleep(0.1)
    assert answer.status_code == 200


async def test_who_sends_too_much_is_closed_and_nobody_else(
    stack: Stack, http: httpx.AsyncClient, secrets: list[str], victim: Victim
) -> None:
    own = await let_in(stack, http, STRANGER, secrets=secrets)
    before = await victim.state()
    flood = SEPARATOR.join([cancel(victim)] * _MOST_PACKETS)
    answers = await asyncio.gather(*(own.post(flood) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {200, 400}
    while (answer := await own.get()).status_code == 200:
        assert packets_in(answer)
    assert refusal(answer) == UNKNOWN
    assert await victim.state() == before
    await victim.is_well()


@pytest.mark.timeout(600)  # thousands of requests, on a busy machine
async def test_a_thousand_handshakes_are_a_session_each_and_last_a_minute(
    stack: Stack, http: httpx.AsyncClient, victim: Victim, secrets: list[str]
) -> None:
    before = await ids_of(victim)
    count, at_once = 1_000, 60
    query = {"EIO": "4", "transport": "polling"}
    said: Counter[int] = Counter()
    for _ in range(count // at_once + 1):
        answers = await asyncio.gather(
            *(http.get("/socket.io/", params=query) for _ in range(at_once))
        )
        for answer in answers:
            said[answer.status_code] += 1
            assert answer.status_code == 200 or refusal(answer) == (503, 3)
        await victim.poller.get()  # so that the session lasts
    assert set(said) <= {200, 503}
    latest = datetime.now(UTC) + timedelta(seconds=61)
    for collection in (CONNECTIONS, POLLS):
        begun = victim.documents.collection(collection)
        made = [each async for each in begun.stream() if each.id not in before]
        # One more may have been made than its client was told.
        assert said[200] <= len(made) <= said.total()
        assert all(each.get("expiresAt") < latest for each in made)
        await delete(victim.documents, made)
    await victim.is_well()


async def ids_of(victim: Victim) -> set[str]:
    found = [each async for each in victim.documents.collection(POLLS).stream()]
    found += [each async for each in victim.documents.collection(CONNECTIONS).stream()]
    return {each.id for each in found}


async def delete(documents: AsyncClient, found: list[DocumentSnapshot[Any]]) -> None:
    """The embedded Firestore looks through all that there is for each query."""
    for first in range(0, len(found), 400):
        batch = documents.batch()
        for each in found[first : first + 400]:
            batch.delete(each.reference)
        await batch.commit()


# What is hardly HTTP


async def test_a_query_of_any_length_is_answered(
    stack: Stack, http: httpx.AsyncClient, victim: Victim
) -> None:
    before = await victim.state()
    for length in (4_000, 30_000, 50_000):
        long = "a" * length
        for said in ({"t": long}, {"token": long}, {"sid": long}, {"userId": long}, {long: "1"}):
            answer = await victim.poller.get(**said)
            assert answer.status_code < 500, (*said, length)
    many = {f"x{number}": "1" for number in range(2_000)}
    assert (await victim.poller.get(**many)).status_code < 500
    assert await victim.state() == before
    await victim.is_well()


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "BREW", "PROPFIND", "GETT"]
)
async def test_a_method_that_is_none_is_refused(victim: Victim, method: str) -> None:
    before = await victim.state()
    answer = await victim.poller.ask(method, cancel(victim).encode())
    assert answer.status_code in (400, 405)
    assert method == "HEAD" or answer.text
    assert await victim.state() == before
    await victim.is_well()


async def test_what_stands_in_the_path_leads_nowhere(
    http: httpx.AsyncClient, victim: Victim
) -> None:
    before = await victim.state()
    query = dict(victim.poller.query)
    for path in (
        *(
            "/socket.io/x",
            "/socket.io//",
            "//socket.io/",
            "/socket.io/../socket.io/1",
            "/SOCKET.IO/",
        ),
        *("/socket.io%2F", "/%73ocket.io/x", "/socket.io/%00", "/socket.io;x/"),
    ):
        for method in ("GET", "POST"):
            answer = await http.request(method, path, params=query, content=cancel(victim))
            assert answer.status_code in (200, 400, 404), path
            if answer.status_code == 200:
                assert method == "GET", path
    assert await victim.state() == before
    await victim.is_well()


async def test_a_client_that_hangs_up_on_its_polls_keeps_its_session(
    stack: Stack, victim: Victim
) -> None:
    url = urlsplit(stack.socketio)
    request = httpx.Request("GET", stack.socketio, params=dict(victim.poller.query))
    for _ in range(30):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        target = f"/socket.io/?{request.url.query.decode()}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
        writer.close()
    await may_poll_again(victim.poller)
    await victim.is_well()
