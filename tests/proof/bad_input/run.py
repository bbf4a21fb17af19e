"""Bad input: everything that anybody may send to the functions, and none of it may do anything.

None may be answered with a 5xx or without a reason, leave a traceback in the logs or a trace in
Firestore, tell a phone anything or end a session. All inputs follow from the seed, save for times,
the gateway's secret and where connections end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from infra.local.calls import Calls, client_at
from infra.local.phone import Phone, phone, socketio_phone
from infra.local.stack import Stack
from infra.local.tokens import unsigned_token
from tests.proof.bad_input.case import Case, Cases, World, random_of
from tests.proof.bad_input.client import HttpClient
from tests.proof.bad_input.envelopes import envelopes
from tests.proof.bad_input.frames import json_cases, socketio_cases
from tests.proof.bad_input.requests import (
    cut_requests,
    handshakes,
    http_to,
    mapped,
    request_times,
    traceparents_to,
)
from tests.proof.bad_input.sockets import OpenSocket, open_sockets, socket_handshakes, turn_away
from tests.proof.bad_input.traces import Logs, changes_since, settled
from tests.proof.table import Row

_PART = "bad input"
_SENTENCES = 6  # of a row; the figures tell how many more there were
_CLIENTS = 5  # connections to one function
_LOGS = "what the logs say"
_STATE = "what is left"
_ACKNOWLEDGED = 204
_UNREAD = "malformed delivery"
_HANDLED = ("expired", "superseded", "delivered")  # what `deliver` says of what it can read


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` of a thousand inputs are such `cases`, sent to the function `to`."""

    row: str
    to: str
    share: int
    cases: Cases


_REQUESTS = (
    Kind("JSON frames", "gateway", 250, json_cases),
    Kind("Socket.IO frames", "gateway", 170, socketio_cases),
    Kind("handshakes", "gateway", 90, handshakes),
    Kind("mapped headers", "gateway", 80, mapped),
    Kind("request times", "gateway", 10, request_times),
    *(Kind("Pub/Sub envelopes", to, 115, envelopes) for to in ("deliver", "push")),
    *(Kind("HTTP requests", to, 25, http_to(to)) for to in ("gateway", "deliver", "push")),
    Kind("HTTP requests", "sweep", 5, http_to("sweep")),
    *(Kind("traceparents", to, 14, traceparents_to(to)) for to in ("gateway", "deliver", "push")),
    Kind("traceparents", "sweep", 2, traceparents_to("sweep")),
)
# After those whose answers are matched with lines of the logs.
_HALVES = tuple(
    Kind("requests cut off", to, share, cut_requests)
    for to, share in (("gateway", 4), ("deliver", 3), ("push", 3), ("sweep", 1))
)
_HANDSHAKES = (Kind("handshakes of sockets", "websocket", 4, socket_handshakes),)
_TURNED_AWAY = 1  # of a thousand
_ON_SOCKETS = 25  # of a thousand, on each of the five open ones a fifth


class _Rows:
    """The table's rows, made as they are needed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rows: dict[str, Row] = {}
        self.delivered = 0  # to `deliver`, and acknowledged

    def row(self, name: str) -> Row:
        return self._rows.setdefault(name, Row(_PART, name))

    def tried(self, name: str, shown: bytes, wrong: str | None) -> None:
        row = self.row(name)
        row.tried += 1
        if wrong is not None:
            self.found(name, f"{shown!r:.300} {wrong} (seed {self._seed}, number {row.tried})")

    def found(self, name: str, sentence: str, times: int = 1) -> None:
        row = self.row(name)
        row.wrong += times
        if len(row.findings) < _SENTENCES:
            row.findings.append(sentence)

    def all(self) -> list[Row]:
        """Kinds of input first, then what all of them have left."""
        left = [self.row(name) for name in (_STATE, _LOGS)]
        return [*(row for row in self._rows.values() if row not in left), *left]


async def run(stack: Stack, count: int, seed: int) -> list[Row]:
    """Sends `count` bad inputs to the functions of `stack`, which nobody else uses meanwhile.

    Gives a row for each kind of input, and two for what all of them may have left.
    """
    rows = _Rows(seed)
    for kind in (*_REQUESTS, *_HALVES, *_HANDSHAKES):
        rows.row(kind.row)
    world = _world(stack, seed)
    client = client_at(stack.firestore, stack.project)
    shares = _shares(count)
    async with _ringing(stack, world) as phones, open_sockets(stack, world, seed) as sockets:
        before, inbox = await settled(client), stack.fcm.messages
        logs = Logs(stack.logs)
        targets = {**stack.functions, "websocket": stack.socketio}
        await _send(_REQUESTS, shares, targets, world, rows, seed)
        # In a thread: the services of an embedded stack live in this one.
        await asyncio.to_thread(_check_deliveries, rows, logs)
        await _send(_HALVES, shares, targets, world, rows, seed)
        turned_away = count * _TURNED_AWAY // 1_000
        left = count - sum(shares.values()) - turned_away
        await asyncio.gather(
            _send(_HANDSHAKES, shares, targets, world, rows, seed),
            _turn_away(stack, world, turned_away, rows, seed),
            _send_on_sockets(sockets, left, rows),
        )
        for sentence in await changes_since(client, before):
            rows.found(_STATE, sentence)
        if told := sum(phone.untold() for phone in phones):
            rows.found(_STATE, f"phones were told {told} events")
        if pushed := len(stack.fcm.messages) - len(inbox):
            rows.found(_STATE, f"phones were pushed {pushed} messages")
        for sentence, times in await asyncio.to_thread(logs.offences, world.marker):
            rows.found(_LOGS, sentence, times)
    return rows.all()


def _world(stack: Stack, seed: int) -> World:
    return World(
        project=stack.project,
        secret=stack.secret,
        call=f"CALL_BAD_{seed}",
        caller=f"USR_BAD_{seed}_CALLER",
        receiver=f"USR_BAD_{seed}_RECEIVER",
        stranger=f"USR_BAD_{seed}_STRANGER",
        absent=f"USR_BAD_{seed}_ABSENT",
        connection=f"bad{seed}nobody=",
        marker=f"WRITTEN-BY-A-CLIENT-{seed}",
        now=time.time_ns() // 1_000_000,
    )


@asynccontextmanager
async def _ringing(stack: Stack, world: World) -> AsyncIterator[list[Phone]]:
    """A call that rings, between people with sockets on both wires and phones that FCM reaches."""
    calls = Calls(stack.firestore, stack.project)
    await calls.ring(world.call, world.caller, world.receiver)
    receivers = unsigned_token(world.receiver, stack.project)
    async with (
        phone(stack.websocket, world.caller, stack.project) as caller,
        phone(stack.websocket, world.receiver, stack.project) as receiver,
        socketio_phone(stack.websocket, receivers) as other,
    ):
        phones: list[Phone] = [caller, receiver, other]
        tokens = [f"fcm-{world.call}-{number}" for number in range(len(phones))]
        for app, token in zip(phones, tokens, strict=True):
            await app.emit("device:register", token=token, platform="android")
        try:
            yield phones
        finally:
            for app, token in zip(phones, tokens, strict=True):
                await app.emit("device:unregister", token=token)
            await calls.remove(world.call)


def _shares(count: int) -> Mapping[Kind, int]:
    """How many of each kind; what is left over goes to the open sockets and to JSON frames."""
    kinds = (*_REQUESTS, *_HALVES, *_HANDSHAKES)
    shares = {kind: count * kind.share // 1_000 for kind in kinds}
    shares[_REQUESTS[0]] += (
        count - sum(shares.values()) - count * (_ON_SOCKETS + _TURNED_AWAY) // 1_000
    )
    return shares


async def _send(
    kinds: tuple[Kind, ...],
    shares: Mapping[Kind, int],
    targets: Mapping[str, str],
    world: World,
    rows: _Rows,
    seed: int,
) -> None:
    """Sends them all, to all functions at the same time."""
    functions = {kind.to for kind in kinds}
    work = []
    for function in functions:
        own = [kind for kind in kinds if kind.to == function]
        cases = _mixed(own, shares, world, seed)
        work += [_client(function, targets[function], cases, rows) for _ in range(_CLIENTS)]
    await asyncio.gather(*work)


def _mixed(
    kinds: list[Kind], shares: Mapping[Kind, int], world: World, seed: int
) -> Iterator[tuple[str, Case]]:
    """The cases of all `kinds`, in an order that follows from the seed."""
    order = [number for number, kind in enumerate(kinds) for _ in range(shares[kind])]
    random_of(seed, "order").shuffle(order)
    # Not by function: both subscribers get the same envelopes.
    made = [kind.cases(random_of(seed, kind.row), world) for kind in kinds]
    for number in order:
        yield kinds[number].row, next(made[number])


async def _client(function: str, url: str, cases: Iterator[tuple[str, Case]], rows: _Rows) -> None:
    async with HttpClient(url) as client:
        for row, case in cases:
            if case.is_cut:
                await client.ask_and_leave(case.request)
                rows.tried(row, case.shown, None)
                continue
            answer = await client.ask(case.request)
            rows.tried(row, case.shown, case.wrong_with(answer))
            rows.delivered += function == "deliver" and answer.status == _ACKNOWLEDGED


async def _turn_away(stack: Stack, world: World, count: int, rows: _Rows, seed: int) -> None:
    row = "Socket.IO clients with bad tokens"
    random = random_of(seed, row)
    for _ in range(count):
        rows.tried(row, *(await turn_away(stack, world, random)))


async def _send_on_sockets(sockets: list[OpenSocket], count: int, rows: _Rows) -> None:
    async def send(open_socket: OpenSocket, number: int) -> None:
        for _ in range(number):
            frame, wrong = await open_socket.send_next()
            rows.tried(open_socket.row, frame, wrong)
        if wrong := await open_socket.wrong_with_session():
            rows.found(open_socket.row, wrong)

    each, more = divmod(count, len(sockets))
    numbers = [each + more, *[each] * (len(sockets) - 1)]
    await asyncio.gather(*map(send, sockets, numbers))


def _check_deliveries(rows: _Rows, logs: Logs) -> None:
    """Each delivery has left a line, and both subscribers could read the same of the same."""
    said = {name: logs.messages(name) for name in ("deliver", "push")}
    unread = {name: messages[_UNREAD] for name, messages in said.items()}
    silent = rows.delivered - sum(said["deliver"][message] for message in (_UNREAD, *_HANDLED))
    if silent > 0:
        rows.found(_LOGS, f"{silent} deliveries were acknowledged without a line that says why")
    if unread["deliver"] != unread["push"]:
        rows.found(_LOGS, f"one subscriber reads what the other can't: {unread} were not read")
