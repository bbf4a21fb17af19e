"""Cancels are sent when they are due, and a receiver is told once none of his phones is silent."""

import asyncio
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

import pytest

from infra.bench import generator
from infra.bench.generator import Cancel, Crowd, Server
from infra.client.phone import Phone

CANCELLED = "call:cancelled"


class Caller(Phone):
    """Is never answered; whoever is to hear of what it sends, hears it at once."""

    def __init__(self, *receivers: "Receiver") -> None:
        super().__init__()
        self.sent: list[str] = []
        self._receivers = receivers

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        assert event == "call:cancel"
        self.sent.append(str(data["callId"]))
        for receiver in self._receivers:
            receiver.hear(str(data["callId"]))
        await asyncio.Event().wait()
        raise AssertionError


class Receiver(Phone):
    """Hears so many copies."""

    def __init__(self, copies: int = 1) -> None:
        super().__init__()
        self._copies = copies

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        raise AssertionError((event, data))

    def hear(self, call: str) -> None:
        for _ in range(self._copies):
            self._tell(CANCELLED, {"callId": call})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_LATE_SECONDS", 0.05)


def crowd(caller: Caller, *receivers: Receiver) -> Crowd:
    made = Crowd(Server("http://nowhere.example", {}), AsyncExitStack())
    made.join("his", caller)
    for receiver in receivers:
        made.join("hers", receiver)
    return made


async def test_no_cancel_waits_for_the_answer_to_another() -> None:
    receiver = Receiver()
    caller = Caller(receiver)
    began = perf_counter()
    cancels = [Cancel(str(number), "his", "hers", number / 1000) for number in range(20)]
    timings = await crowd(caller, receiver).cancel(cancels)
    assert caller.sent == [cancel.call for cancel in cancels]
    assert [each.answered for each in timings] == [None] * 20
    for cancel, timing in zip(cancels, timings, strict=True):
        # By when it was to be sent, however late that was done.
        assert timing.due - timings[0].due == pytest.approx(cancel.due)
        assert timing.told is not None
    assert timings[0].due >= began


async def test_a_receiver_is_told_once_all_of_his_phones_are() -> None:
    two, silent = Receiver(copies=2), Receiver(copies=0)
    cancels = [Cancel("A", "his", "hers", 0)]
    (timing,) = await crowd(Caller(two, silent), two, silent).cancel(cancels)
    assert timing.told is None  # a copy to one is none to the other
    (timing,) = await crowd(Caller(two), two).cancel(cancels)
    assert timing.told is not None


async def test_what_is_told_of_other_calls_counts_for_none() -> None:
    receiver = Receiver()
    receiver.hear("earlier")
    (timing,) = await crowd(Caller(receiver), receiver).cancel([Cancel("A", "his", "hers", 0)])
    assert timing.told is not None
