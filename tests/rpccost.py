"""What the remote calls of a cancel cost in CPU: `python -m tests.rpccost`, on uvloop.

The emulators are a process of their own, so that only our side of the calls is counted.
"""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time

import grpc
import uvloop
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.calls.call import ConnectionId
from functions.ports.store import StoredCall
from functions.services import firestore, pubsub
from functions.settings import TopicSettings
from infra.client.calls import Calls
from tests.support.makers import CALL, CALLER, RECEIVER, connect, event, now, register
from tests.support.processes import settings_of

_CANCELS = 1_000
_WARM_UP = 100
_TOPIC = "projects/unring-test/topics/call-events"
_SERVERS = """
import asyncio
from infra.emulators.firestore import FirestoreServer
from infra.emulators.pubsub import PubSubServer

async def serve():
    async with FirestoreServer() as firestore, PubSubServer() as pubsub:
        print(firestore.address, pubsub.address, flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


async def costs(firestore_address: str, pubsub_address: str) -> dict[str, float]:
    """CPU of each of the calls, one after the other, in milliseconds."""
    settings = settings_of(
        TopicSettings,
        FIRESTORE_EMULATOR_HOST=firestore_address,
        PUBSUB_EMULATOR_HOST=pubsub_address,
    )
    async with grpc.aio.insecure_channel(pubsub_address) as channel:
        admin = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        await admin.create_topic(name=_TOPIC)
    store, publisher = firestore.connect(settings), pubsub.connect(settings)
    await Calls(firestore_address, settings.project).ring(CALL, CALLER, RECEIVER)
    for id, user in (("1=", CALLER), ("2=", RECEIVER), ("3=", RECEIVER)):
        await connect(store, id, user)
    await register(store, "token", RECEIVER)
    spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def counted(name: str) -> Iterator[None]:
        start = process_time()
        yield
        spent[name] += process_time() - start

    for number in range(_WARM_UP + _CANCELS):
        if number == _WARM_UP:
            spent.clear()
        made = event()
        with counted("gateway: BatchGetDocuments, 2 documents"):
            loaded = await store.calls.load(CALL, ConnectionId("1="), now())
        assert isinstance(loaded.call, StoredCall)
        with counted("gateway: Commit, 2 writes"):
            await store.calls.commit(loaded.call, made)
        with counted("gateway, deliver: RunQuery, 2 connections"):
            assert len(await store.connections.of([RECEIVER], now())) == 2
        with counted("gateway: Publish"):
            await publisher.publish(made)
        with counted("deliver: Commit, 1 write"):
            await store.outbox.note_served(made, [ConnectionId("2=")], now(), is_done=True)
        with counted("push: RunQuery, 1 device"):
            assert len(await store.devices.of([RECEIVER], now())) == 1
    return {name: seconds / _CANCELS * 1000 for name, seconds in spent.items()}


def main() -> None:
    command = [sys.executable, "-c", _SERVERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as servers:  # noqa: S603
        assert servers.stdout is not None
        addresses = servers.stdout.readline().split()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for name, milliseconds in runner.run(costs(*addresses)).items():
                print(f"{milliseconds:.2f} ms  {name}")
        servers.terminate()


if __name__ == "__main__":
    main()
