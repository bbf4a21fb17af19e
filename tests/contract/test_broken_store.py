"""A Firestore that fails, refuses, hangs or loses replies, as the store on it says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from functions.calls.call import CallId, ConnectionId, Status, UserId
from functions.clients.connection import Connection, Wire
from functions.clients.device import FcmToken, device_id
from functions.ports.identity import Identified
from functions.ports.polls import Polls, Session
from functions.ports.store import Store, StoreConflict, StoredCall, StoreUnavailable
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from infra.emulators.faults import Fault, Faults, FaultyRpcs, Kind
from infra.emulators.firestore import FirestoreServer
from infra.emulators.rpcs import AroundRpcs, Rpc
from tests.contract.world import FirestoreWorld, firestore_world_at
from tests.support.journal import Journal
from tests.support.makers import CALL, CALLER, RECEIVER, connect, event, now, register
from tests.support.polls import SESSION, begin, claimed, found, session_of

SOCKET, ANOTHER = ConnectionId("1="), ConnectionId("2=")


class Recorder(AroundRpcs):
    """Keeps every request, as text."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def around(self, rpc: Rpc) -> Any:
        self.seen.append(f"{rpc.method} {rpc.request}")
        return await rpc.serve()


@dataclass
class Broken:
    """A Firestore of the test's own, and what is to go wrong with it."""

    world: FirestoreWorld
    journal: Journal
    faults: Faults
    recorder: Recorder

    @property
    def store(self) -> Store:
        return self.world.store


@pytest.fixture
async def broken(project: str) -> AsyncIterator[Broken]:
    journal, faults, recorder = Journal(), Faults(), Recorder()
    interceptors = [journal, recorder, FaultyRpcs(faults, "firestore")]
    async with FirestoreServer(interceptors=interceptors) as server:
        yield Broken(firestore_world_at(server.address, project), journal, faults, recorder)


def handshake(wire: Wire = Wire.JSON) -> Connection:
    expires = now() + timedelta(hours=2)
    return Connection(SOCKET, RECEIVER, wire, now(), expires, owner=RECEIVER)


@pytest.mark.parametrize("wire", Wire)
async def test_a_connection_whose_commit_lost_its_reply_is_our_own(
    broken: Broken, wire: Wire
) -> None:
    broken.faults.lose_reply("firestore.Commit")
    assert await broken.store.connections.add(handshake(wire))
    assert broken.journal.started == ["Commit", "Commit", "BatchGetDocuments"]


async def test_an_admission_whose_commit_lost_its_reply_meets_itself(broken: Broken) -> None:
    await connect(broken.store, SOCKET, None, wire=Wire.EIO4)
    read = await broken.store.connections.get(SOCKET, now())
    assert read is not None
    broken.faults.lose_reply("firestore.Commit")
    broken.journal.clear()
    at = now()
    assert not await broken.store.connections.admit(read, Identified(CALLER), at, read.expires_at)
    assert broken.journal.started == ["Commit", "Commit"]
    admitted = await broken.store.connections.get(SOCKET, now())
    assert admitted is not None
    assert (admitted.user, admitted.admitted_at) == (CALLER, at)


async def test_a_calls_commit_that_lost_its_reply_meets_itself_and_is_known_again(
    broken: Broken,
) -> None:
    await broken.world.ring()
    stored = (await broken.store.calls.load(CALL, SOCKET, now())).call
    assert isinstance(stored, StoredCall)
    made = event()
    broken.faults.lose_reply("firestore.Commit")
    broken.journal.clear()
    with pytest.raises(StoreConflict):
        await broken.store.calls.commit(stored, made)
    assert broken.journal.started == ["Commit", "Commit"]
    assert (await broken.store.calls.reload(made)).is_ours


@pytest.mark.parametrize(("kind", "is_ours"), [(Kind.HOLD, False), (Kind.HOLD_REPLY, True)])
async def test_a_commit_that_is_not_answered_is_given_up(
    broken: Broken, kind: Kind, is_ours: bool
) -> None:
    await broken.world.ring()
    stored = (await broken.store.calls.load(CALL, SOCKET, now())).call
    assert isinstance(stored, StoredCall)
    made = event()
    unanswered = Fault(kind, "firestore.Commit")
    broken.journal.clear()
    with broken.faults.during(unanswered):
        with pytest.raises(StoreUnavailable):
            await broken.store.calls.commit(stored, made)
        assert broken.journal.started == ["Commit"]  # what hangs is not tried again
        assert (await broken.store.calls.reload(made)).is_ours == is_ours
        unanswered.drop()


async def test_a_commit_that_meets_a_transaction_of_somebody_elses_writes_nothing(
    broken: Broken,
) -> None:
    await broken.world.ring()
    stored = (await broken.store.calls.load(CALL, SOCKET, now())).call
    assert isinstance(stored, StoredCall)
    made = event()
    broken.faults.fail("firestore.Commit", code=grpc.StatusCode.ABORTED)
    with pytest.raises(StoreConflict):
        await broken.store.calls.commit(stored, made)
    assert not (await broken.store.calls.reload(made)).is_ours


@pytest.mark.parametrize(
    ("registers", "left", "calls"),
    [
        (RECEIVER, [], ["BatchGetDocuments", "Commit"]),
        (CALLER, [CALLER], ["BatchGetDocuments"]),
    ],
    ids=["the same user", "another"],
)
async def test_a_device_that_registers_while_it_is_unregistered_is_looked_at_again(
    broken: Broken, registers: UserId, left: list[UserId], calls: list[str]
) -> None:
    await register(broken.store, "T", RECEIVER)
    deletion = broken.faults.hold("firestore.Commit")
    unregistering = asyncio.create_task(
        broken.store.devices.unregister(RECEIVER, device_id(FcmToken("T")))
    )
    await deletion.reached.wait()
    await register(broken.store, "T", registers)
    broken.journal.clear()
    deletion.release()
    await unregistering
    assert broken.journal.started == calls
    found = await broken.store.devices.of([CALLER, RECEIVER], now())
    assert [device.user for device in found] == left


async def test_a_device_that_registers_whenever_it_is_unregistered_stays_and_is_a_fault(
    broken: Broken,
) -> None:
    await register(broken.store, "T", RECEIVER)
    deletion = broken.faults.hold("firestore.Commit")
    unregistering = asyncio.create_task(
        broken.store.devices.unregister(RECEIVER, device_id(FcmToken("T")))
    )
    for _ in range(3):
        await deletion.reached.wait()
        await register(broken.store, "T", RECEIVER)
        meanwhile, deletion = deletion, broken.faults.hold("firestore.Commit")
        meanwhile.release()
    with pytest.raises(StoreUnavailable):
        await unregistering
    assert len(await broken.store.devices.of([RECEIVER], now())) == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ],
)
async def test_a_firestore_that_refuses_to_be_read_is_unavailable(
    broken: Broken, code: grpc.StatusCode
) -> None:
    broken.faults.fail("firestore.RunQuery", code=code)
    broken.faults.fail("firestore.BatchGetDocuments", code=code)
    with pytest.raises(StoreUnavailable):
        await broken.store.connections.of([RECEIVER], now())
    with pytest.raises(StoreUnavailable):
        await broken.store.connections.get(SOCKET, now())
    assert broken.journal.started == ["RunQuery", "BatchGetDocuments"]


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
async def test_a_firestore_that_refuses_to_be_written_is_unavailable(
    broken: Broken, code: grpc.StatusCode
) -> None:
    broken.faults.fail("firestore.Commit", code=code)
    with pytest.raises(StoreUnavailable):
        await broken.store.connections.add(handshake())
    assert broken.journal.started == ["Commit"]


def taken_over(session: Session, socket: Connection) -> Connection:
    return socket.taking_over(session.connection, "upgrade", now())


# All that can be done with what waits for a client that polls, each as it succeeds.
PollStep = Callable[[Polls, Session, Connection], Awaitable[object]]
POLL_STEPS: dict[str, tuple[str, PollStep]] = {
    "begin": ("Commit", lambda polls, *_: polls.begin(session_of(CALLER, ConnectionId("poll-2")))),
    "get": ("BatchGetDocuments", lambda polls, *_: polls.get(SESSION)),
    "session": ("BatchGetDocuments", lambda polls, *_: polls.session(SESSION, now())),
    "add": ("Commit", lambda polls, *_: polls.add(SESSION, ["b"])),
    "take": ("Commit", lambda polls, session, _: polls.take(session.poll, 1, "taker", None)),
    "renew": ("Commit", lambda polls, session, _: polls.take(session.poll, 1, "taker", now())),
    "claim": (
        "Commit",
        lambda polls, session, socket: polls.claim(session.poll, replace(socket, id=ANOTHER)),
    ),
    "move": (
        "Commit",
        lambda polls, session, socket: polls.move(session, taken_over(session, socket), now()),
    ),
    "close": ("Commit", lambda polls, *_: polls.close(SESSION, now(), "1")),
}


@pytest.mark.parametrize(("call", "step"), POLL_STEPS.values(), ids=POLL_STEPS)
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
async def test_of_a_client_that_polls_nothing_is_known_or_changed_while_firestore_refuses(
    broken: Broken, call: str, step: PollStep, code: grpc.StatusCode
) -> None:
    session, socket = await claimed(broken.store, await begin(broken.store, "a"))
    broken.faults.fail(f"firestore.{call}", code=code)
    broken.journal.clear()
    with pytest.raises(StoreUnavailable):
        await step(broken.store.polls, session, socket)
    assert broken.journal.started == [call]
    assert await found(broken.store) == session


@pytest.mark.parametrize(("call", "step"), POLL_STEPS.values(), ids=POLL_STEPS)
async def test_for_a_client_that_polls_a_firestore_that_fails_once_is_asked_again(
    broken: Broken, call: str, step: PollStep
) -> None:
    session, socket = await claimed(broken.store, await begin(broken.store, "a"))
    broken.faults.fail(f"firestore.{call}")
    broken.journal.clear()
    assert await step(broken.store.polls, session, socket) is not False
    assert broken.journal.started == [call, call]


async def test_a_poll_that_meets_a_transaction_of_somebody_elses_takes_nothing(
    broken: Broken,
) -> None:
    session = await begin(broken.store, "a")
    broken.faults.fail("firestore.Commit", code=grpc.StatusCode.ABORTED)
    assert not await broken.store.polls.take(session.poll, 1, "taker", None)
    assert await found(broken.store) == session


@pytest.mark.parametrize(("kind", "is_done"), [(Kind.HOLD, False), (Kind.HOLD_REPLY, True)])
async def test_a_move_that_is_not_answered_is_given_up(
    broken: Broken, kind: Kind, is_done: bool
) -> None:
    session, socket = await claimed(broken.store, await begin(broken.store, "a"))
    to = taken_over(session, socket)
    unanswered = Fault(kind, "firestore.Commit")
    with broken.faults.during(unanswered):
        with pytest.raises(StoreUnavailable):
            await broken.store.polls.move(session, to, now())
        unanswered.drop()
    read = await broken.store.connections.get(socket.id, now())
    assert read == (to if is_done else socket)  # whoever tries again knows which


async def test_a_firestore_that_fails_once_is_asked_again(broken: Broken) -> None:
    broken.faults.fail("firestore.BatchGetDocuments")
    assert await broken.store.connections.get(SOCKET, now()) is None
    assert broken.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]


async def test_what_is_read_for_a_strangers_signal_is_the_same_whatever_the_call(
    broken: Broken,
) -> None:
    asked = set()
    for state in (None, *Status):
        call = CallId(f"CALL_{state}")
        if state is not None:
            await broken.world.ring(call, state)
        broken.recorder.seen.clear()
        await broken.store.calls.load(call, SOCKET, now())
        (request,) = broken.recorder.seen
        asked.add(request.replace(call, "CALL"))
    assert len(asked) == 1


async def test_a_store_without_credentials_is_unavailable(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    store = store_of(Database(project))
    with pytest.raises(StoreUnavailable, match="DefaultCredentialsError"):
        await store.connections.of([CALLER], now())
