"""Accept against cancel, on both Firestores: one winner, and both sides are told the same truth."""

import asyncio
import json
import uuid
from datetime import timedelta

import grpc
import httpx
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.calls.call import CallId, ConnectionId, SignalId, UserId
from functions.calls.decision import Verdict
from functions.services.apigateway import Sockets
from functions.services.firestore import Store
from functions.services.pubsub import Publisher
from functions.signaling import Received, Signaling
from infra.local.calls import client_at
from tests.support.connections import ConnectionsServer
from tests.support.makers import CALLER, RECEIVER, connect, fields_of, now, ring, signal

ROUNDS, AT_ONCE = 200, 10


async def test_of_an_accept_and_a_cancel_exactly_one_wins_every_time(
    firestore: str, embedded_pubsub: str, project: str, connections: ConnectionsServer
) -> None:
    client = client_at(firestore, project)
    store = Store(client)
    for user in (CALLER, RECEIVER):
        await connect(store, f"{user}=", user)
    topic = f"projects/{project}/topics/events"
    async with grpc.aio.insecure_channel(embedded_pubsub) as channel, httpx.AsyncClient() as http:
        transport = PublisherGrpcAsyncIOTransport(channel=channel)
        await PublisherAsyncClient(transport=transport).create_topic(name=topic)
        signaling = Signaling(
            store,
            Sockets(http, connections.url),
            Publisher(transport, topic),
            event_ttl=timedelta(seconds=60),
            direct_post_timeout=timedelta(seconds=10),
        )
        turns = asyncio.Semaphore(AT_ONCE)

        async def send(name: str, by: UserId, call: CallId) -> Verdict:
            received = Received(
                ConnectionId(f"{by}="), SignalId(uuid.uuid4().hex), now(), requested=None
            )
            return await signaling.handle(signal(name, call), received)

        async def race(number: int) -> str:
            call = CallId(f"CALL_{number}")
            async with turns:
                await ring(client, call)
                cancel, accept = await asyncio.gather(
                    send("call:cancel", CALLER, call), send("call:accept", RECEIVER, call)
                )
                assert cancel.ok != accept.ok
                winner, loser = (cancel, accept) if cancel.ok else (accept, cancel)
                assert loser.outcome == f"already_{winner.outcome}"
                stored = await fields_of(client, "calls", call)
                assert stored is not None
                assert stored["status"] == winner.outcome
                return winner.outcome

        outcomes = await asyncio.gather(*map(race, range(ROUNDS)))

    told = [(id, json.loads(text)) for id, text in connections.posts]
    assert len(told) == ROUNDS
    expected = {"cancelled": (f"{RECEIVER}=", "call:cancelled")}
    expected["accepted"] = (f"{CALLER}=", "call:accepted")
    for number, outcome in enumerate(outcomes):
        (got,) = [
            (id, frame["event"])
            for id, frame in told
            if frame["data"]["callId"] == f"CALL_{number}"
        ]
        assert got == expected[outcome]
