"""Every RPC that Google's clients know is played by the embedded services or says what plays it."""

import json
from collections.abc import Iterator
from importlib import resources

import grpc
import pytest

from tests.support.pace import PATIENCE_SECONDS

UNPLAYED = {
    "google.firestore.v1.Firestore": {"PartitionQuery", "ExecutePipeline"},
    "google.pubsub.v1.Publisher": {
        *("UpdateTopic", "DetachSubscription", "ListTopicSubscriptions", "ListTopicSnapshots"),
    },
    "google.pubsub.v1.Subscriber": {
        *("Seek", "CreateSnapshot", "GetSnapshot", "UpdateSnapshot"),
        *("ListSnapshots", "DeleteSnapshot"),
    },
    "google.pubsub.v1.SchemaService": {
        *("CreateSchema", "GetSchema", "ListSchemas", "DeleteSchema", "ListSchemaRevisions"),
        *("CommitSchema", "RollbackSchema", "DeleteSchemaRevision"),
        *("ValidateSchema", "ValidateMessage"),
    },
}


def rpcs(package: str) -> Iterator[tuple[str, str]]:
    """Each RPC of a generated client's services, as the metadata of its package lists them."""
    metadata = json.loads((resources.files(package) / "gapic_metadata.json").read_text())
    for name, service in metadata["services"].items():
        for rpc in service["clients"]["grpc"]["rpcs"]:
            yield f"{metadata['protoPackage']}.{name}", rpc


FIRESTORE = list(rpcs("google.cloud.firestore_v1"))
PUBSUB = list(rpcs("google.pubsub_v1"))


async def answer(channel: grpc.aio.Channel, service: str, rpc: str) -> tuple[grpc.StatusCode, str]:
    """What becomes of an empty request, with which nothing can be done."""
    # Who streams makes no difference on the wire: a message each way, or several. But a client that
    # streams says that its own write failed if it is refused before it has written.
    call = channel.unary_stream(f"/{service}/{rpc}")(b"", timeout=PATIENCE_SECONDS)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize(("service", "rpc"), FIRESTORE)
async def test_an_rpc_of_firestore_is_played_or_says_what_plays_it(
    embedded_firestore: str, service: str, rpc: str
) -> None:
    await check(embedded_firestore, service, rpc)


@pytest.mark.parametrize(("service", "rpc"), [*PUBSUB, ("google.iam.v1.IAMPolicy", "GetIamPolicy")])
async def test_an_rpc_of_pubsub_is_played_or_says_what_plays_it(
    embedded_pubsub: str, service: str, rpc: str
) -> None:
    await check(embedded_pubsub, service, rpc)


async def check(address: str, service: str, rpc: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        code, message = await answer(channel, service, rpc)
    assert code not in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL}
    refused = code is grpc.StatusCode.UNIMPLEMENTED
    assert refused == (rpc in UNPLAYED.get(service, {rpc}))
    if refused:
        assert f"does not play {service}/{rpc}: " in message
        assert '"python -m infra.local --google" runs Google\'s emulators' in message


def test_what_is_not_played_is_what_the_clients_know() -> None:
    known = {rpc for _, rpc in [*FIRESTORE, *PUBSUB]}
    assert set().union(*UNPLAYED.values()) <= known
