"""The load test: what becomes of cancels that come faster than this machine can carry them out."""

import asyncio
import multiprocessing
import statistics
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice

from google.cloud.firestore import AsyncCollectionReference, FieldFilter
from rich import box
from rich.console import Console
from rich.table import Table

from functions.collections import USUAL
from infra.client.calls import client_at
from infra.client.phone import JsonPhone, phone
from infra.local.offering import Answered, Cancel, Gateway, as_answered, at_rate
from infra.local.stack import Stack, passing_stack
from infra.machine import machine

_CALLERS = 50  # each of which may send 20 frames a second
_RECEIVERS = 10
_AT_ONCE = 48  # cancels under way as the capacity is measured: of so few, none is refused
_MOST_A_SECOND = 500  # no machine carries out more
_TIMES = (1, 2, 4)  # the capacity
_WRITES = 400  # in one commit; Firestore takes 500
_DRAINED_SECONDS = 120.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Offer:
    """What became of the cancels that came for so many `seconds`."""

    title: str
    seconds: float
    answered: Sequence[Answered]

    @property
    def goodput(self) -> float:
        """How many were carried out a second while they came."""
        return sum(each.at <= self.seconds for each in self.done) / self.seconds

    @property
    def done(self) -> list[Answered]:
        return [each for each in self.answered if each.outcome == "cancelled"]

    @property
    def refused(self) -> list[Answered]:
        return [each for each in self.answered if each.outcome != "cancelled"]


async def load(seconds: float) -> int:
    """Offers up to four times what can be carried out, each for `seconds`, and prints what came of
    it. Returns 1 if somebody was not told of a call that was cancelled."""
    console = Console(highlight=False)
    async with passing_stack() as stack, AsyncExitStack() as parts:
        people = _People(stack)
        await people.arrive(parts)
        spawn = multiprocessing.get_context("spawn")
        generator = parts.enter_context(ProcessPoolExecutor(1, mp_context=spawn))
        offers = [offer async for offer in _offers(people, generator, seconds)]
        cancelled = await people.cancelled()
        untold = await people.untold(cancelled)
    console.print(f"\nMore cancels than can be carried out, {machine()}\n")
    console.print(_table(offers))
    share = offers[-1].goodput / max(offer.goodput for offer in offers)
    console.print(f"\nOf {_TIMES[-1]} times the capacity, {share:.0%} of the best is carried out.")
    if untold:
        console.print(f"[red]Lost: of {len(untold)} calls somebody was not told.[/red]")
        return 1
    console.print(f"Nothing was lost: of all {len(cancelled)} calls that were cancelled, the")
    console.print("receiver was told, over his socket and by FCM.")
    return 0


async def _offers(
    people: "_People", generator: ProcessPoolExecutor, seconds: float
) -> AsyncIterator[Offer]:
    """First as many as are answered, which is the capacity; then times that."""
    loop = asyncio.get_running_loop()

    async def played(title: str, most: float, how: Callable[..., list[Answered]]) -> Offer:
        cancels = await people.ring(round(most * seconds))
        answered = await loop.run_in_executor(generator, how, people.gateway, cancels)
        await people.until_all_are_told()
        return Offer(title, seconds, answered)

    saturating = partial(as_answered, at_once=_AT_ONCE, seconds=seconds)
    await played("", _MOST_A_SECOND, saturating)  # to get warm
    capacity = await played(f"{_AT_ONCE} at once", _MOST_A_SECOND, saturating)
    yield capacity
    for times in _TIMES:
        rate = times * capacity.goodput
        title = f"{rate:.0f} a second"
        yield await played(title, rate, partial(at_rate, rate=rate))


class _People:
    """Callers and receivers, each with an open socket; the receivers are pushed too."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._documents = client_at(stack.firestore, stack.project)
        self._receivers: list[JsonPhone] = []
        self._calls: Iterator[tuple[str, str, str]] = iter(())
        self._connections: dict[str, str] = {}
        self.gateway = Gateway(stack.functions["gateway"], stack.secret)

    async def arrive(self, parts: AsyncExitStack) -> None:
        callers = [f"CALLER_{number}" for number in range(_CALLERS)]
        receivers = [f"RECEIVER_{number}" for number in range(_RECEIVERS)]

        async def connected(user: str) -> JsonPhone:
            arriving = phone(self._stack.websocket, user, self._stack.project)
            return await parts.enter_async_context(arriving)

        for caller in callers:
            await connected(caller)
        for receiver in receivers:
            his = await connected(receiver)
            await his.emit("device:register", token=f"token-of-{receiver}", platform="android")
            self._receivers.append(his)
        async for found in self._collection("connections").stream():
            self._connections[str(found.get("owner"))] = found.id
        ids = (f"CALL_{number}" for number in count(1))
        self._calls = zip(ids, cycle(callers), cycle(receivers), strict=False)

    def _collection(self, name: str) -> AsyncCollectionReference:
        return self._documents.collection(USUAL.named(name))

    async def ring(self, most: int) -> list[Cancel]:
        """Makes so many calls ring."""
        calls = list(islice(self._calls, most))
        for first in range(0, len(calls), _WRITES):
            batch = self._documents.batch()
            for call, caller, receiver in calls[first : first + _WRITES]:
                fields = {"callerId": caller, "receiverId": receiver, "status": "ringing"}
                batch.set(self._collection("calls").document(call), fields)
            await batch.commit()
        return [Cancel(call, self._connections[caller]) for call, caller, _ in calls]

    async def until_all_are_told(self) -> None:
        """Waits until no event is pending, or for too long."""
        pending = self._collection("outbox").order_by("pendingSince").limit(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_SECONDS):
                while await pending.get():  # noqa: ASYNC110 - Firestore tells nobody
                    await asyncio.sleep(_POLL_SECONDS)

    async def cancelled(self) -> set[str]:
        """The calls that are cancelled, by what the store says."""
        status = FieldFilter("status", "==", "cancelled")
        calls = await self._collection("calls").where(filter=status).get()
        return {call.id for call in calls}

    async def untold(self, calls: set[str]) -> set[str]:
        """Those of the calls of which the receiver's socket or his device was not told."""
        fcm = self._stack.fcm
        with suppress(TimeoutError):
            await fcm.wait_for(len(calls), _DRAINED_SECONDS)
        heard = [data for his in self._receivers for _, _, data in his.take_events()]
        pushed = [message["data"] for message in fcm.messages]
        return calls - ({_call(data) for data in heard} & {_call(data) for data in pushed})


def _call(data: Mapping[str, object]) -> str:
    return str(data["callId"])


def _table(offers: Sequence[Offer]) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("cancels that come")
    for column in ("carried out", "p50", "p99", "refused", "p50", "p99"):
        table.add_column(column, justify="right")
    for offer in offers:
        table.add_row(
            offer.title,
            f"{offer.goodput:.0f} a second",
            *_percentiles(offer.done),
            f"{len(offer.refused) / len(offer.answered):.0%}",
            *_percentiles(offer.refused),
        )
    return table


def _percentiles(answered: Sequence[Answered]) -> tuple[str, str]:
    if len(answered) < 2:
        return "", ""
    cuts = statistics.quantiles((each.took for each in answered), n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f} ms", f"{cuts[98] * 1000:.0f} ms"
