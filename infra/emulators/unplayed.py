"""What an embedded emulator answers, at once, to whatever it does not play."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

INSTEAD = '"python -m infra.local --google" runs Google\'s emulators.'


class UnplayedRpcs(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Answers UNIMPLEMENTED to every RPC, of any service, that no handler before it has taken.

    gRPC does so by itself, but says only "Method not found!".
    """

    def __init__(self, emulator: str, instead: str = INSTEAD) -> None:
        """`emulator` is its name in the answers: "The embedded Firestore"; `instead` is what plays
        more."""
        self._emulator = emulator
        self._instead = f": {instead}" if instead else ""

    def service(self, details: Any) -> Any:
        # Whoever streams and whoever doesn't can be answered as one who does.
        return grpc.stream_stream_rpc_method_handler(partial(self._refuse, details.method))

    async def _refuse(self, method: str, _: AsyncIterator[Any], context: Any) -> None:
        message = f"{self._emulator} does not play {method.strip('/')}{self._instead}"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
