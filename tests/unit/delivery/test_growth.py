"""A user with very many connections or devices: the work grows as their number does, no faster."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest

from functions.calls.call import ConnectionId, SignalId
from functions.clients.device import FcmToken, Platform
from functions.delivery.commit import Received
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.delivery.push import Pusher
from functions.ports.push_sender import PushOutcome
from functions.sessions.cap import ConnectionCap
from functions.sessions.registration import Registration
from functions.wire.frames import RegisterDevice
from infra import ROOT
from tests.memory.services import Services
from tests.support.makers import (
    CALLER,
    CODECS,
    FIRST,
    RECEIVER,
    RING_TOKENS,
    connect,
    event,
    now,
    register,
    signal,
)
from tests.support.world import committed

FEW, MANY = 100, 1_000
AT_MOST = 20  # times the work of a few: quadratic work would be a hundred times as much

_OURS = str(ROOT / "functions")


class Steps:
    """Counts what the functions do: their lines, and the comparisons of ids that a search in a list
    makes without a line."""

    def __init__(self) -> None:
        self.lines = 0
        self.comparisons = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._count if _is_ours(frame) else None

    def _count(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self.lines += event == "line"
        return self._count


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


class Counted(str):
    """An id that counts its comparisons."""

    steps = Steps()

    def __eq__(self, other: object) -> bool:
        self.steps.comparisons += _is_ours(sys._getframe(1))
        return str.__eq__(self, other)

    __hash__ = str.__hash__


Step = Callable[[], Awaitable[object]]


async def connected(services: Services, many: int) -> list[str]:
    """Connections of the receiver; gives their ids."""
    ids: list[str] = [Counted(f"{number}=") for number in range(many)]
    for id in ids:
        await connect(services.store, id, RECEIVER)
    return ids


def deliverer(services: Services) -> Deliverer:
    return Deliverer(services.store, services.sockets, CODECS, Memory(), now)


async def tell_all(services: Services, many: int) -> Step:
    await connected(services, many)
    made = await committed(services.world, event())
    return lambda: deliverer(services).deliver(made, FIRST)


async def tell_nobody(services: Services, many: int) -> Step:
    ids = await connected(services, many)
    made = await committed(services.world, event(served=tuple(map(Counted, ids))))
    return lambda: deliverer(services).deliver(made, FIRST)


async def tell_the_dead(services: Services, many: int) -> Step:
    for id in await connected(services, many):
        services.clients.answers[id] = [410]
    made = await committed(services.world, event())
    return lambda: deliverer(services).deliver(made, FIRST)


async def cancel(services: Services, many: int) -> Step:
    await connected(services, many)
    await connect(services.store, "caller=", CALLER)
    await services.world.ring()
    signaling = services.signaling(timeout_seconds=1)
    received = Received(SignalId("1"), now(), now())
    return lambda: signaling.handle(signal(), ConnectionId("caller="), received)


async def cap_connections(services: Services, many: int) -> Step:
    await connected(services, many)
    cap = ConnectionCap(services.store.connections, services.sockets, now, per_user=20)
    return lambda: cap.enforce(RECEIVER, ConnectionId("0="))


async def push_to_all(services: Services, many: int) -> Step:
    for number in range(many):
        await register(services.store, f"{number}", RECEIVER)
    pusher = Pusher(
        services.store, services.sender, services.publisher, RING_TOKENS, now, devices_per_user=many
    )
    return lambda: pusher.push(event(), FIRST)


async def push_to_the_dead(services: Services, many: int) -> Step:
    for number in range(many):
        services.phones.fail(f"{number}", PushOutcome.DEAD)
    return await push_to_all(services, many)


async def register_one_more(services: Services, many: int) -> Step:
    for number in range(many):
        await register(services.store, f"{number}", RECEIVER)
    await connect(services.store, "his=", RECEIVER)
    registration = Registration(
        services.store.connections, services.store.devices, now, timedelta(days=1), 20
    )
    request = RegisterDevice(FcmToken("new"), Platform.IOS)
    return lambda: registration.handle(request, ConnectionId("his="), now())


@pytest.mark.parametrize(
    "prepare",
    [
        tell_all,
        tell_nobody,
        tell_the_dead,
        cancel,
        cap_connections,
        push_to_all,
        push_to_the_dead,
        register_one_more,
    ],
)
async def test_ten_times_as_many_are_about_ten_times_the_work(
    prepare: Callable[[Services, int], Awaitable[Step]],
) -> None:
    taken = []
    for many in (FEW, MANY):
        step = await prepare(Services(), many)
        Counted.steps = Steps()
        with Counted.steps.counted():
            await step()
        taken.append(Counted.steps)
    few, more = taken
    assert few.lines > FEW  # they are counted
    assert more.lines <= AT_MOST * few.lines
    assert more.comparisons <= AT_MOST * max(few.comparisons, FEW)
