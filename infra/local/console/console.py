"""The console beside a running stack."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import chain

import httpx

from functions.collections import Collections
from functions.settings import GatewaySettings, load
from infra.emulators.http import serving
from infra.emulators.watching import WatchedFaults
from infra.local.console.documents import SHOWN, Documents
from infra.local.console.live import Live
from infra.local.console.owners import Owners
from infra.local.console.reading import Words
from infra.local.console.recorder import Recorder
from infra.local.console.server import Server
from infra.local.console.switches import Switches
from infra.local.console.traces import Traces
from infra.local.stack import Stack


@asynccontextmanager
async def console(stack: Stack, faults: WatchedFaults) -> AsyncIterator[str]:
    """Serves the console of `stack`, which was started with these `faults`, for as long as the
    block lasts; gives its URL."""
    settings = load(GatewaySettings, stack.values)
    collections = Collections(settings.calls_collection, settings.collection_prefix)

    live = Live(lambda: chain(recorder.snapshot(), documents.snapshot(), switched()))
    traces = Traces(words_of(settings, collections))
    switches = Switches(stack, live.tell)
    owners = Owners(lambda: _pids(stack), time.monotonic)
    recorder = Recorder(faults, owners, traces, switches.blame, live.tell)
    documents = Documents(
        stack.firestore, stack.project, settings.firestore_database, collections, live.tell
    )

    def switched() -> Iterator[tuple[str, object]]:
        return (("fault", switch) for switch in switches.all())

    async with AsyncExitStack() as parts:
        await parts.enter_async_context(documents)
        parts.enter_context(recorder)
        sweep = parts.enter_context(_sweeping(stack))
        names = {name: collections.named(name) for name in SHOWN}
        server = Server(stack, live, traces, switches, names, sweep)
        url = await parts.enter_async_context(serving(server.app(), lifespan="off"))
        # Before the server, which would wait for who listens, and for a function that starts.
        await parts.enter_async_context(switches)
        parts.callback(live.close)
        yield url


def words_of(settings: GatewaySettings, collections: Collections) -> Words:
    """What a stack with these settings, and its app, call what traces are about."""
    usual = Words()
    parties = settings.dialect.call_written(dict.fromkeys(usual.user_fields))
    return Words(
        calls=collections.named("calls"),
        outbox=collections.named("outbox"),
        call_fields=tuple(
            dict.fromkeys((*settings.dialect.fields_in["callId"], *usual.call_fields))
        ),
        user_fields=tuple(dict.fromkeys((*parties, *usual.user_fields))),
        events={
            theirs: ours for theirs, ours in settings.dialect.events_in.items() if theirs != ours
        },
    )


def _pids(stack: Stack) -> dict[str, int]:
    return {name: each.pid for name, each in stack.processes.items() if each.is_running}


@contextmanager
def _sweeping(stack: Stack) -> Iterator[Callable[[], None]]:
    """Has `sweep` look at once; what is under way when the block ends is cancelled."""
    looks: set[asyncio.Task[None]] = set()

    async def look() -> None:
        with suppress(httpx.HTTPError):  # the function's log has it
            await stack.sweeping.run_now()

    def sweep() -> None:
        task = asyncio.create_task(look())
        looks.add(task)
        task.add_done_callback(looks.discard)

    try:
        yield sweep
    finally:
        for task in looks:
            task.cancel()
