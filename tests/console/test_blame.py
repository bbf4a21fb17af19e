"""Which switch a broken call is put down to, and what is left broken in the end; of a stack that
has only what switches touch."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.emulators.faults import Broken
from infra.emulators.watching import Answer, Seen, WatchedFaults
from infra.local.console.switches import NotSwitched, Switches
from infra.local.stack import Stack

DELIVERY = "delivery.push"


class Fcm:
    """Those devices that it refuses."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def fail(self, device: str, _: object) -> None:
        self.refused.add(device)

    def heal(self, device: str) -> None:
        self.refused.discard(device)


class Process:
    """A function that starts when it may."""

    url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.is_starting = asyncio.Event()

    async def crash(self) -> None:
        pass

    async def start(self) -> None:
        self.is_starting.set()
        await self.may_start.wait()


class World:
    """Switches that nobody has turned yet, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 10.0
        self.seen: list[Seen] = []
        self.faults = WatchedFaults()
        self.faults.watcher = self.seen.append
        self.fcm, self.push = Fcm(), Process()
        made = SimpleNamespace(
            values={},
            queue=object(),
            backend=object(),
            fcm=self.fcm,
            processes={"push": self.push},
            faults=self.faults,
        )
        self.switches = Switches(cast(Stack, made), lambda *_: None, lambda: self.now)
        self._ids = itertools.count(1)

    async def call(self, name: str) -> Seen:
        """One that the services serve."""

        async def serve() -> None:
            pass

        with suppress(Broken):
            await self.faults.around(name, lambda: "", serve)
        return self.seen[-1]

    def failed(self, name: str, request: str = "", *, at: float) -> Seen:
        """One that has ended by an error at that time."""
        answer = Answer("503", is_error=True)
        return Seen(next(self._ids), name, lambda: request, None, at - 1, at, lambda: answer)

    def met(self, name: str) -> Any:
        return next(each["met"] for each in self.switches.all() if each["name"] == name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    async with made.switches:
        yield made


async def test_a_broken_call_is_put_down_to_its_switch_when_that_is_off_again(
    world: World,
) -> None:
    await world.switches.switch("publish-fails", on=True)
    broken = await world.call("pubsub.Publish")
    await world.switches.switch("publish-fails", on=False)
    after = await world.call("pubsub.Publish")
    assert world.switches.blame(broken) == "publish-fails"
    assert world.switches.blame(after) is None
    assert world.met("publish-fails") == 1


async def test_a_kill_is_blamed_for_what_has_failed_meanwhile(world: World) -> None:
    await world.switches.switch("push-killed", on=True)
    world.now = 20.0
    await world.switches.switch("push-killed", on=False)
    world.now = 30.0
    blamed = [world.switches.blame(world.failed(DELIVERY, at=at)) for at in (9.0, 15.0, 25.0)]
    assert blamed == [None, "push-killed", None]
    assert world.switches.blame(world.failed("delivery.deliver", at=15.0)) is None


async def test_a_refusal_is_blamed_for_its_device_and_its_time(world: World) -> None:
    for device in ("d1", "d2"):
        await world.switches.switch("fcm-refuses", on=True, device=device)
    world.now = 20.0
    shown = await world.switches.switch("fcm-refuses", on=False, device="d1")
    assert (shown["on"], shown["devices"]) == (True, ["d2"])
    of = {device: f'{{"token": "{device}"}}' for device in ("d1", "d2", "d3")}
    for device, at, blamed in [
        ("d1", 9.0, None),
        ("d1", 15.0, "fcm-refuses"),
        ("d1", 25.0, None),
        ("d2", 25.0, "fcm-refuses"),
        ("d3", 15.0, None),
    ]:
        assert world.switches.blame(world.failed("fcm.send", of[device], at=at)) == blamed


async def test_in_the_end_nothing_is_broken_any_more() -> None:
    world = World()
    async with world.switches:
        await world.switches.switch("publish-fails", on=True)
        await world.switches.switch("fcm-refuses", on=True, device="d1")
        assert world.fcm.refused == {"d1"}
    assert world.fcm.refused == set()
    assert (await world.call("pubsub.Publish")).fault is None


async def test_while_it_ends_nothing_is_broken_anew() -> None:
    world = World()
    async with world.switches:
        await world.switches.switch("push-killed", on=True)
        world.push.may_start.clear()
        starting = asyncio.create_task(world.switches.switch("push-killed", on=False))
        await world.push.is_starting.wait()
    with pytest.raises(NotSwitched):
        await starting
    with pytest.raises(NotSwitched):
        await world.switches.switch("publish-fails", on=True)
    assert (await world.call("pubsub.Publish")).fault is None
