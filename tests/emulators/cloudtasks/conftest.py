"""An embedded Cloud Tasks with one queue, its client, and targets to which tasks go."""

from collections.abc import AsyncIterator

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from starlette.applications import Starlette
from starlette.routing import Route

from infra.emulators.cloudtasks import CloudTasksServer
from infra.emulators.faults import Faults, FaultyRpcs
from infra.emulators.http import serving
from tests.emulators.cloudtasks.support import QUEUE, Targets, parent


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def server(faults: Faults) -> AsyncIterator[CloudTasksServer]:
    # A dispatch deadline of 15 s, the shortest there is, passes in 0.15 s.
    interceptors = [FaultyRpcs(faults, "cloudtasks")]
    async with CloudTasksServer(second=0.01, interceptors=interceptors, faults=faults) as server:
        yield server


@pytest.fixture
async def client(server: CloudTasksServer) -> AsyncIterator[CloudTasksAsyncClient]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        await client.create_queue(parent=parent(QUEUE), queue=types.Queue(name=QUEUE))
        yield client


@pytest.fixture(scope="module")
async def all_targets() -> AsyncIterator[Targets]:
    targets = Targets()
    app = Starlette(routes=[Route("/{name}", targets.answer, methods=["GET", "POST", "PUT"])])
    async with serving(app, grace=0) as targets.url:
        yield targets


@pytest.fixture
def targets(all_targets: Targets) -> Targets:
    all_targets.clear()
    return all_targets
