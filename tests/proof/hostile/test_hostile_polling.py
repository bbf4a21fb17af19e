"""Whose session it is not: ids of sessions that are foreign, used before, or guessed."""

import asyncio
import json
import os
import secrets as randomness
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient
from websockets.exceptions import InvalidStatus

from infra.emulators.faults import Fault, Kind
from infra.local.stack import Stack
from tests.proof.hostile.conftest import Victim
from tests.support.browser import ORIGIN
from tests.support.collections import POLLS
from tests.support.makers import ids_in
from tests.support.pollers import UNKNOWN, Poller, begun, let_in, refusal
from tests.support.stacks import Ids

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("beside")]

METHODS = ("GET", "POST")
STRANGER = "USR_STRANGER"
_AT_ONCE = 10  # requests
CANCEL = '42["call:cancel",{{"callId":"{call}"}}]'


@pytest.fixture
def stack(polling_stack: Stack) -> Stack:
    return polling_stack


async def is_kept_out(poller: Poller, packets: str) -> None:
    """Whether the session is as good as none for whoever shows it so, by each of the three ways."""
    assert refusal(await poller.get()) == UNKNOWN
    assert refusal(await poller.post(poller.payload(packets))) == UNKNOWN
    assert await socket_status(poller) == 400


async def socket_status(poller: Poller, **query: Any) -> int:
    """Of a WebSocket's handshake; 101 when it is accepted."""
    try:
        async with poller.socket(**query):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


# Sessions of others


async def test_who_knows_a_session_and_not_its_key_gets_nowhere(
    stack: Stack, http: httpx.AsyncClient, victim: Victim
) -> None:
    own = await let_in(stack, http, STRANGER, secrets=victim.poller.secrets)
    before = await victim.state()
    cancel = CANCEL.format(call=victim.ids.call)
    id, _, key = victim.poller.sid.partition(".")
    others = own.sid.partition(".")[2]
    for guess in (
        *(others, key.swapcase(), key[::-1], key[:-1] + ("a" if key[-1] != "a" else "b")),
        *("a" * 32, "_" * 32, key[:16] + others[16:]),
    ):
        await is_kept_out(victim.poller.but(sid=f"{id}.{guess}"), cancel)
        # Nor does a token of his own help him, wherever he shows it.
        token = stack.token(STRANGER)
        await is_kept_out(victim.poller.but(sid=f"{id}.{guess}", token=token), cancel)
    assert await victim.state() == before
    await victim.is_well()


@pytest.mark.parametrize("version", ["3", "4"])
async def test_a_session_whose_client_shows_a_token_in_its_query_is_nobodys_without_it(
    stack: Stack, http: httpx.AsyncClient, ids: Ids, secrets: list[str], version: str
) -> None:
    token, strangers = stack.token(ids.caller), stack.token(STRANGER)
    his = await begun(stack, http, version=version, token=token, secrets=secrets)
    for shown in (None, "", strangers, token[:-1], f"{token},{strangers}"):
        await is_kept_out(his.but(token=shown), "41")
    # What is in a header does not count: no client shows it there only at times.
    authorized = {"Authorization": f"Bearer {token}"}
    answer = await http.get(
        "/socket.io/", params=dict(his.but(token=None).query), headers=authorized
    )
    assert refusal(answer) == UNKNOWN
    assert (await his.get()).status_code == 200


@pytest.mark.parametrize("version", ["3", "4"])
async def test_a_session_is_of_one_version(
    stack: Stack, http: httpx.AsyncClient, secrets: list[str], version: str
) -> None:
    his = await begun(stack, http, version=version, secrets=secrets)
    other = {"3": "4", "4": "3"}[version]
    await is_kept_out(his.but(EIO=other), "41")
    for query, status in (
        ({"EIO": "5"}, 400),
        ({"transport": "polling"}, 400),
        ({"transport": "webtransport"}, 400),
    ):
        assert await socket_status(his, **query) == status, query
    async with his.socket() as socket:
        await his.upgraded(socket)


async def test_who_says_to_be_somebody_else_on_a_session_is_nobody(
    stack: Stack, http: httpx.AsyncClient, victim: Victim, secrets: list[str]
) -> None:
    ids = victim.ids
    before = await victim.state()
    for said in (
        {"token": stack.token(STRANGER), "userId": ids.caller},
        {"token": "garbage", "userId": ids.caller},
        {"token": stack.token(ids.caller, -60)},
        {"userId": ids.caller},
        [ids.caller],
        "x",
    ):
        attacker = await let_in(stack, http, STRANGER, secrets=secrets)
        await attacker.post(f"40{json.dumps(said)}")
        (answer,) = [each for each in await attacker.packets() if each[:2] in ("40", "44")]
        assert answer.startswith("44"), said
        verdict = await attacker.verdict("call:cancel", callId=ids.call)
        assert (verdict["outcome"], verdict["field"]) == ("forbidden", "connection"), said
    assert await victim.state() == before
    await victim.is_well()


# Sessions that were used before


async def test_a_session_has_one_socket_whoever_asks_for_another(victim: Victim) -> None:
    poller = victim.poller
    async with poller.socket() as socket:
        for _ in range(3):
            assert await socket_status(poller) == 400
        await poller.upgraded(socket)
        # And none at all once it has gone over.
        await is_kept_out(poller, CANCEL.format(call=victim.ids.call))
        await socket.send(CANCEL.format(call=victim.ids.call))
        assert await socket.recv() == "6"
    await is_kept_out(poller, "2probe")


async def test_a_socket_that_does_not_upgrade_takes_nothing_from_the_session(
    victim: Victim,
) -> None:
    poller = victim.poller
    async with poller.socket() as socket:
        await socket.send("2")
        assert await socket.recv() == "3"
        assert (await poller.get()).status_code == 200
    await victim.is_well()


async def test_who_says_that_he_upgrades_and_has_no_session_changes_nothing(
    stack: Stack, http: httpx.AsyncClient, ids: Ids, secrets: list[str], victim: Victim
) -> None:
    own = await let_in(stack, http, STRANGER, secrets=secrets)
    before = await victim.state()
    async with own.socket() as socket:
        await own.upgraded(socket)
        for frame in ("5", "5", f"5{victim.poller.sid}", "5 "):
            await socket.send(frame)
            assert await socket.recv() == "6"
    assert await victim.state() == before
    await victim.is_well()


async def test_a_session_that_was_ended_is_unknown_once_its_client_has_heard_of_it(
    victim: Victim,
) -> None:
    poller = victim.poller
    assert (await poller.post("1")).text == "ok"
    await poller.get()
    await is_kept_out(poller, CANCEL.format(call=victim.ids.call))
    assert "'status': 'ringing'" in str(await victim.state())


async def test_what_is_sent_after_the_goodbye_is_nobodys(victim: Victim) -> None:
    poller, ids = victim.poller, victim.ids
    cancel = CANCEL.format(call=ids.call)
    await poller.post(poller.payload("1", cancel))
    await poller.post(cancel)
    assert "'status': 'ringing'" in str(await victim.state())


# Sessions that are guessed

ID, KEY = "a" * 22, "b" * 32
MALFORMED = [
    *("", ".", "x", "poll-", "poll-.", "null", "undefined", "0", "-1", "%00", "\0", "é" * 40),
    *("../connections/x", "poll-/../x", "__x__", "[]", "{}", "a" * 6_000, f"poll-{ID}"),
    *(f"poll-{ID}.", f"poll-{ID}.{KEY[1:]}", f"poll-{ID}.{KEY}b", f"poll-{ID[1:]}.{KEY}"),
    *(f" poll-{ID}.{KEY}", f"poll-{ID}.{KEY}\n", f"POLL-{ID}.{KEY}", f"poll-{ID}.{KEY[1:]}="),
    f"poll-{ID[1:]}é.{KEY}",
]


async def test_a_sid_that_can_be_none_is_refused_without_a_look(
    stack: Stack, http: httpx.AsyncClient, secrets: list[str], beside: str
) -> None:
    own = await begun(stack, http, secrets=secrets)
    look, others = looks(POLLS), looks(f"{POLLS}/{beside}")
    with stack.faults.during(others, look):
        for sid in MALFORMED:
            guess = own.but(sid=sid)
            assert refusal(await guess.get()) == UNKNOWN, sid
            assert refusal(await guess.post("40")) == UNKNOWN, sid
            if sid:
                assert await socket_status(guess) in (400, 414), sid
        assert look.met == 0
        assert refusal(await own.but(sid=guessed()).get()) == UNKNOWN
        assert look.met == 1


@pytest.mark.timeout(600)  # thousands of requests, on a busy machine
async def test_thousands_of_guesses_cost_a_look_each_and_make_nothing(
    stack: Stack, http: httpx.AsyncClient, documents: AsyncClient, secrets: list[str], beside: str
) -> None:
    own = await begun(stack, http, secrets=secrets)
    before = await stored(documents)
    await guess(own, 500)
    look, others = looks(POLLS), looks(f"{POLLS}/{beside}")
    size = memory_of(stack, "api")
    with stack.faults.during(others, look):
        guesses = await guess(own, 2_000)
    assert look.met <= guesses
    if size is not None:
        grown = (memory_of(stack, "api") or 0) - size
        assert grown < 16 * 1024 * 1024
    assert await stored(documents) == before


def looks(about: str) -> Fault:
    """Counts those of the functions that are about this."""
    return Fault(Kind.DELAY, "firestore.BatchGetDocuments", (about,), times=None)


def guessed() -> str:
    return f"poll-{randomness.token_urlsafe(16)}.{randomness.token_urlsafe(24)}"


async def guess(poller: Poller, count: int) -> int:
    """GETs and POSTs with as many sids, of which some have a session's id. Gives how many requests
    it took: what a busy machine could not look up is asked again."""
    asked = 0

    async def ask(sid: str, method: str) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        return refusal(await poller.but(sid=sid).ask(method, b"40"))

    async def some(first: int) -> None:
        for number in range(first, count, _AT_ONCE):
            sid = f"{poller.id}.{guessed()[-32:]}" if number % 10 == 0 else guessed()
            while (said := await ask(sid, METHODS[number % 2])) == (503, 3):  # noqa: ASYNC110 - as above
                await asyncio.sleep(1)
            assert said == UNKNOWN

    await asyncio.gather(*map(some, range(_AT_ONCE)))
    return asked


async def stored(documents: AsyncClient) -> set[str]:
    return await ids_in(documents, "connections") | await ids_in(documents, "polls")


def memory_of(stack: Stack, function: str) -> int | None:
    """In bytes; None where nobody tells."""
    pages = Path(f"/proc/{stack.processes[function].pid}/statm")
    if not pages.exists():
        return None
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Requests that say who they are twice, or from where


async def test_a_parameter_that_is_given_twice_opens_nothing(
    stack: Stack, http: httpx.AsyncClient, victim: Victim, secrets: list[str]
) -> None:
    own = await begun(stack, http, secrets=secrets)
    before = await victim.state()
    wrong = f"{victim.poller.id}.{own.sid.partition('.')[2]}"
    for sids in ([own.sid, wrong], [wrong, own.sid], [own.sid, own.sid], ["", own.sid]):
        for method in METHODS:
            assert refusal(await own.ask(method, b"41", sid=sids)) == (400, 3)
        assert await socket_status(own, sid=sids) in (101, 400)
    for name in ("EIO", "transport", "token", "t"):
        twice = [own.query.get(name, "x")] * 2
        assert refusal(await own.get(**{name: twice})) == (400, 3)
    assert await victim.state() == before
    await victim.is_well()


async def test_a_header_that_is_given_twice_shows_nobody_elses_session(
    stack: Stack, http: httpx.AsyncClient, ids: Ids, secrets: list[str]
) -> None:
    token, strangers = stack.token(ids.caller), stack.token(STRANGER)
    his = await begun(stack, http, token=token, secrets=secrets)
    nobodys = dict(his.but(token=None).query)
    for shown in ([strangers, token], [strangers, strangers], [f"{token}, Bearer {token}"]):
        headers = [("Authorization", f"Bearer {each}") for each in shown]
        answer = await http.get("/socket.io/", params=nobodys, headers=headers)
        assert refusal(answer) == UNKNOWN, shown
    for name in ("Unring-Sid", "unring-sid", "X-Unring-Sid", "sid", "Cookie"):
        headers = [(name, his.sid), (name, his.sid)]
        answer = await http.get("/socket.io/", params={**nobodys, "sid": "x"}, headers=headers)
        assert refusal(answer) == UNKNOWN, name


async def test_a_page_of_another_origin_may_read_nothing(
    stack: Stack, http: httpx.AsyncClient, victim: Victim
) -> None:
    query = dict(victim.poller.query)
    begin = {name: query[name] for name in ("EIO", "transport")}
    for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example", f"x{ORIGIN}", "*", ""):
        for method, params in (("GET", begin), ("GET", query), ("POST", query), ("OPTIONS", query)):
            answer = await http.request(
                method, "/socket.io/", params=params, content=b"", headers={"Origin": origin}
            )
            assert "access-control-allow-origin" not in answer.headers, (origin, method)
    answer = await http.get("/socket.io/", params=begin, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    await victim.is_well()
