"""What is told live: all there is at first, then what changes, and an end for who does not read."""

import asyncio
import json

from infra.local.console.live import LISTENERS_LIMIT, Live


async def test_a_listener_is_told_all_there_is_and_then_what_changes() -> None:
    live = Live(lambda: [("fault", {"name": "f"})])
    stream = live.stream()
    assert await anext(stream) == "event: begin\ndata: {}\n\n"
    assert await anext(stream) == 'event: fault\ndata: {"name": "f"}\n\n'
    live.tell("push", {"line": "one\ntwo"})
    _, data = (await anext(stream)).rstrip().split("\n")
    assert json.loads(data.removeprefix("data: ")) == {"line": "one\ntwo"}


async def test_what_changes_while_the_snapshot_is_told_comes_after_it() -> None:
    live = Live(lambda: [("trace", 1), ("trace", 2)])
    stream = live.stream()
    await anext(stream)
    live.tell("trace", 3)
    told = [await anext(stream) for _ in range(3)]
    assert [each.split("data: ")[1].strip() for each in told] == ["1", "2", "3"]


async def test_who_reads_nothing_is_sent_away() -> None:
    live = Live(lambda: [])
    stream = live.stream()
    await anext(stream)
    for number in range(6000):
        live.tell("trace", number)
    read = [each async for each in stream]
    assert read == []  # nor is anything kept for it


async def test_only_so_many_may_listen_and_all_are_sent_away_in_the_end() -> None:
    live = Live(lambda: [])
    streams = [live.stream() for _ in range(LISTENERS_LIMIT)]
    for stream in streams:
        assert not live.is_full
        await anext(stream)
    assert live.is_full
    waiting = [asyncio.create_task(anext(stream, None)) for stream in streams]
    live.close()
    assert await asyncio.gather(*waiting) == [None] * LISTENERS_LIMIT
