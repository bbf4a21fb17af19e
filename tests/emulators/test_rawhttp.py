"""The raw HTTP server of the tests, which counts the requests of its own test alone."""

import asyncio

import grpc

from tests.support.pace import PATIENCE_SECONDS
from tests.support.rawhttp import raw_server, silence


async def test_a_grpc_channel_that_looks_for_another_server_is_hung_up_on_and_not_counted() -> None:
    async with raw_server(silence) as server:
        address = server.url.removeprefix("http://")
        async with grpc.aio.insecure_channel(address) as channel:
            async with asyncio.timeout(PATIENCE_SECONDS):
                state = channel.get_state(try_to_connect=True)
                while state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    await channel.wait_for_state_change(state)
                    state = channel.get_state()
        assert (server.heads, server.connections) == ([], 0)
