"""Bad input: everything that anybody may send to the functions, and none of it may do anything.

None may be answered with a 5xx or without a reason, leave a traceback in the logs or a trace in
Firestore, tell a phone anything or end a session. All inputs follow from the seed, save for times,
the gateway's secret and where connections end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from infra.client.calls import Calls, client_at
from infra.client.phone import Phone, phone, socketio_phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Options, Stack
from infra.local.topology import API
from tests.proof.bad_input.case import (
    ACKNOWLEDGED,
    Answer,
    Case,
    Cases,
    World,
    random_of,
)
from tests.proof.bad_input.client import HttpClient
from tests.proof.bad_input.deliveries import SUBSCRIBERS, wrong_with_lines
from tests.proof.bad_input.envelopes import envelopes
from tests.proof.bad_input.frames import json_cases, socketio_cases
from tests.proof.bad_input.passing import turn_away
from tests.proof.bad_input.polling import polls
from tests.proof.bad_input.requests import (
    cut_requests,
    handshakes,
    http_to,
    mapped,
    request_times,
    traceparents_to,
)
from tests.proof.bad_input.sockets import OpenSocket, Silent, open_sockets, socket_handshakes
from tests.proof.bad_input.traces import Logs, Passed, Tail, changes_since, documents_of
from tests.proof.table import Row
from tests.support.pace import ANY_RATE, ONE_LOOK

_PART = "bad input"
_NEVER = timedelta(days=1)
_SENTENCES = 6  # of a row; the figures tell how many more there were
_CLIENTS = 5  # connections to one function
_LOGS = "what the logs say"
_STATE = "what is left"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` of a thousand inputs are such `cases`, sent to the function `to`."""

    row: str
    to: str
    share: int
    cases: Cases


_REQUESTS = (
    Kind("JSON frames", "gateway", 235, json_cases),
    Kind("Socket.IO frames", "gateway", 170, socketio_cases),
    Kind("handshakes", "gateway", 90, handshakes),
    Kind("mapped headers", "gateway", 80, mapped),
    Kind("request times", "gateway", 10, request_times),
    *(Kind("Pub/Sub envelopes", to, 115, envelopes) for to in ("deliver", "push")),
    *(Kind("HTTP requests", to, 25, http_to(to)) for to in ("gateway", "deliver", "push")),
    Kind("HTTP requests", "sweep", 5, http_to("sweep")),
    *(Kind("traceparents", to, 14, traceparents_to(to)) for to in ("gateway", "deliver", "push")),
    Kind("traceparents", "sweep", 2, traceparents_to("sweep")),
    Kind("polls", "api", 15, polls),
)
# After those whose answers are matched with lines of the logs: nothing tells when these leave one.
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


def options(logs: Path) -> Options:
    """Of a stack to send bad input to: its sockets wait while the requests are sent, which may take
    a busy machine longer than API Gateway lets them, or than `sweep` lets one that is nobody's."""
    patient = replace(API, idle_seconds=API.lifetime_seconds)
    return Options(
        port=0,
        gateway=patient,
        sweep_every=_NEVER,
        settings={**ONE_LOOK, **ANY_RATE},
        logs=logs,
    )


async def run(stack: Stack, count: int, seed: int) -> list[Row]:
    """Sends `count` bad inputs to the functions of `stack`, which nobody else uses meanwhile.

    Gives a row for each kind of input, and two for what all of them may have left.
    """
    rows = _Rows(seed)
    for kind in (*_REQUESTS, *_HALVES, *_HANDSHAKES):
        rows.row(kind.row)
    world = _world(stack, seed)
    shares, passed = _shares(count), Passed()
    client = client_at(stack.firestore, stack.project)
    async with (
        _ringing(stack, world) as phones,
        open_sockets(stack, world, seed, passed) as sockets,
    ):
        await _quiet(stack)
        before = await documents_of(client)
        pushed, logs = len(stack.fcm.messages), Logs(stack.logs)
        sending = _Sending(stack, world, seed, rows, shares, logs)
        await sending.send(_REQUESTS)
        await sending.send(_HALVES)
        turned_away = count * _TURNED_AWAY // 1_000
        left = count - sum(shares.values()) - turned_away
        await asyncio.gather(
            sending.send(_HANDSHAKES),
            _turn_away(stack, world, turned_away, rows, seed, passed),
            _send_on_sockets(sockets, left, rows),
        )
        await _quiet(stack)
        for sentence in await changes_since(client, before, passed, logs):
            rows.found(_STATE, sentence)
        if told := await _told(phones):
            rows.found(_STATE, f"phones were told {told} events")
        if more := len(stack.fcm.messages) - pushed:
            rows.found(_STATE, f"phones were pushed {more} messages")
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


@dataclass(frozen=True, slots=True)
class _Sending:
    """How inputs are sent, each as a request, and what is made of the answers."""

    stack: Stack
    world: World
    seed: int
    rows: _Rows
    shares: Mapping[Kind, int]
    logs: Logs

    async def send(self, kinds: tuple[Kind, ...]) -> None:
        """Sends all of these `kinds`, to all functions at the same time."""
        targets = {**self.stack.functions, "websocket": self.stack.socketio}
        work = []
        with ExitStack() as tails:
            for function in {kind.to for kind in kinds}:
                cases = self._mixed([kind for kind in kinds if kind.to == function])
                clients, tail = _CLIENTS, None
                if function in SUBSCRIBERS:
                    # One by one: else nothing would tell of which delivery a line is.
                    clients, tail = 1, tails.enter_context(self.logs.tail(function))
                url = targets[function]
                work += [self._client(function, url, cases, tail) for _ in range(clients)]
            await asyncio.gather(*work)

    def _mixed(self, kinds: list[Kind]) -> Iterator[tuple[str, Case]]:
        """The cases of all `kinds`, in an order that follows from the seed."""
        order = [number for number, kind in enumerate(kinds) for _ in range(self.shares[kind])]
        random_of(self.seed, "order").shuffle(order)
        # Not by function: both subscribers get the same envelopes.
        made = [kind.cases(random_of(self.seed, kind.row), self.world) for kind in kinds]
        for number in order:
            yield kinds[number].row, next(made[number])

    async def _client(
        self, function: str, url: str, cases: Iterator[tuple[str, Case]], tail: Tail | None
    ) -> None:
        """Sends one after the other; what `tail` has after an answer is of the case answered."""
        async with HttpClient(url) as client:
            for row, case in cases:
                if case.is_cut:
                    await client.ask_and_leave(case.request)
                    self.rows.tried(row, case.shown, None)
                    continue
                answer = await _answer(client, case)
                wrong = case.wrong_with(answer)
                said = tail.messages() if tail else []
                # What the HTTP server refuses no function learns of.
                if tail and answer.status == ACKNOWLEDGED:
                    wrong = wrong or wrong_with_lines(function, case.event, said)
                self.rows.tried(row, case.shown, wrong)


async def _answer(client: HttpClient, case: Case) -> Answer:
    for _ in range(_TRIES - 1):
        if not (answer := await client.ask(case.request)).is_passing:
            return answer
    return await client.ask(case.request)


async def _turn_away(
    stack: Stack, world: World, count: int, rows: _Rows, seed: int, passed: Passed
) -> None:
    row = "Socket.IO clients with bad tokens"
    random = random_of(seed, row)
    for _ in range(count):
        rows.tried(row, *(await turn_away(stack, world, passed, random)))


async def _send_on_sockets(sockets: list[OpenSocket], count: int, rows: _Rows) -> None:
    async def send(open_socket: OpenSocket, number: int) -> None:
        row = open_socket.row
        try:
            for _ in range(number):
                rows.tried(row, *(await open_socket.send_next()))
            if wrong := await open_socket.wrong_with_session():
                rows.found(row, wrong)
        except Silent as error:
            rows.found(row, str(error))
        if told := open_socket.told:
            rows.found(row, f"is told what is not for it, first {told[0]!r:.120}", len(told))

    each, more = divmod(count, len(sockets))
    numbers = [each + more, *[each] * (len(sockets) - 1)]
    await asyncio.gather(*map(send, sockets, numbers))


async def _told(phones: list[Phone]) -> int:
    """How many events the phones were told."""
    for app in phones:
        await app.emit("device:unregister", token="nobody's")  # its answer overtakes no event
    return sum(app.untold() for app in phones)


async def _quiet(stack: Stack) -> None:
    """Waits until all is delivered that was published: only then has it done what it does."""
    if stack.queue:
        await stack.queue.idle()
