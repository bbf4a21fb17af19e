"""Faults on demand: what the services do to single requests when they are told to.

Every service names its calls ("firestore.Commit", "pubsub.Publish", "delivery.S" of a subscription
S, "cloudtasks.CreateTask", "task.Q" of a queue Q, "job.J" of a job J, "integration.R" of a route R,
"connections.POST", "fcm.send", "webhook.POST", "keys.GET") and passes each of them through one
`Faults`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeVar

import grpc

from infra.emulators.rpcs import AroundRpcs, Rpc

_T = TypeVar("_T")
Peer = Callable[[], str]  # the address of who makes a call; its last part is the port


class Broken(Exception):
    """The call is answered with an error of this code, which services by HTTP translate."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(f"broken on demand: {code.name}")
        self.code = code


class Aborted(Exception):
    """The service has refused an RPC by itself, and answered it: gRPC knows by `error`."""

    def __init__(self, code: grpc.StatusCode, details: str, error: grpc.aio.AbortError) -> None:
        super().__init__(details)
        self.code = code
        self.error = error


class Kind(Enum):
    """What becomes of a call."""

    FAIL = auto()  # not done, and answered with an error
    LOSE_REPLY = auto()  # done, and answered with an error
    HOLD = auto()  # not done and not answered until it is released
    HOLD_REPLY = auto()  # done, and not answered until it is released
    DELAY = auto()  # done late, whether or not the caller still waits
    REPEAT = auto()  # done twice, at the same time
    OVERTAKE = auto()  # done only after another call


@dataclass(eq=False, slots=True)
class Fault:
    """A fault that waits for its calls, which contain all of `about`.

    The first `skip` of them are spared, the next `times` broken; with None, all.
    """

    kind: Kind
    call: str
    about: tuple[str, ...] = ()
    skip: int = 0
    times: int | None = 1
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    seconds: float = 0.0
    overtaken_by: str = ""  # what the other call contains
    met: int = 0  # calls that were broken so far
    reached: asyncio.Event = field(default_factory=asyncio.Event)  # a call was, or waits
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _dropped: bool = False
    _holding: int = 0

    def release(self) -> None:
        """What is held goes on, and nothing is broken any more."""
        self.times = self.met
        self._released.set()

    def drop(self) -> None:
        """What is held is never done, nor answered but with an error: its caller is no more."""
        self._dropped = True
        self.release()

    def takes(self, call: str, text: str) -> bool:
        """Whether this call is to be broken; counts it."""
        if call != self.call or not all(part in text for part in self.about):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        return True

    @property
    def is_holding(self) -> bool:
        """Whether a call waits now, its caller too."""
        return self._holding > 0

    async def held(self) -> None:
        self._holding += 1
        try:
            await self._released.wait()
        finally:
            self._holding -= 1
        if self._dropped:
            raise Broken(grpc.StatusCode.CANCELLED)


class Faults:
    """The faults of one stack. Services ask it about every call; whoever tests arms it."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._late: set[asyncio.Future[Any]] = set()

    def fail(self, call: str, *about: str, **more: Any) -> Fault:
        """Not done, and answered with `code`. `more` are fields of Fault, here and below."""
        return self.arm(Fault(Kind.FAIL, call, about, **more))

    def lose_reply(self, call: str, *about: str, **more: Any) -> Fault:
        """Done, and answered with `code` all the same."""
        return self.arm(Fault(Kind.LOSE_REPLY, call, about, **more))

    def hold(self, call: str, *about: str, **more: Any) -> Fault:
        """Not done until released; `reached` tells when a call waits."""
        return self.arm(Fault(Kind.HOLD, call, about, **more))

    def arm(self, fault: Fault) -> Fault:
        self._armed.append(fault)
        return fault

    def heal(self) -> None:
        """Everything that is held goes on, and nothing is broken any more."""
        for fault in self._armed:
            fault.release()
        self._armed.clear()

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[None]:
        """Arms these faults for as long as the block lasts, before those that are armed already."""
        self._armed[:0] = faults
        try:
            yield
        finally:
            for fault in faults:
                fault.release()
                self._armed.remove(fault)

    async def around(
        self,
        call: str,
        text: Callable[[], str],
        serve: Callable[[], Awaitable[_T]],
        peer: Peer | None = None,  # noqa: ARG002 - asked for by who watches
    ) -> _T:
        """Serves one call, in whichever way is armed for it. Raises Broken and what `serve` does.

        `text` is the request as text, in which faults look for what they are about; `peer` is who
        makes the call, None if the service itself does.
        """
        if not any(fault.call == call for fault in self._armed):
            return await serve()  # a request as text costs more than to serve it
        said = text()
        fault = next((fault for fault in self._armed if fault.takes(call, said)), None)
        try:
            return await (serve() if fault is None else self._break(fault, serve))
        finally:
            self._pass(call, said)

    async def _break(self, fault: Fault, serve: Callable[[], Awaitable[_T]]) -> _T:
        if fault.kind is not Kind.HOLD_REPLY:
            fault.reached.set()
        match fault.kind:
            case Kind.FAIL:
                raise Broken(fault.code)
            case Kind.LOSE_REPLY:
                await serve()
                raise Broken(fault.code)
            case Kind.HOLD | Kind.OVERTAKE:
                await fault.held()
                return await serve()
            case Kind.HOLD_REPLY:
                served = await serve()
                fault.reached.set()
                await fault.held()
                return served
            case Kind.DELAY:
                return await self._later(fault.seconds, serve)
            case Kind.REPEAT:
                _, second = await asyncio.gather(serve(), serve())
                return second

    async def _later(self, seconds: float, serve: Callable[[], Awaitable[_T]]) -> _T:
        async def wait_and_serve() -> _T:
            await asyncio.sleep(seconds)
            return await serve()

        late = asyncio.ensure_future(wait_and_serve())
        self._late.add(late)
        late.add_done_callback(self._end)
        # A network does not take back what was sent because the sender went away.
        return await asyncio.shield(late)

    def _end(self, late: asyncio.Future[Any]) -> None:
        self._late.discard(late)
        if not late.cancelled():
            late.exception()  # whoever waited has had it

    def _pass(self, call: str, said: str) -> None:
        """Lets go of those that waited for this call to overtake them."""
        for fault in self._armed:
            if fault.kind is Kind.OVERTAKE and call == fault.call and fault.overtaken_by in said:
                fault.release()


class FaultyRpcs(AroundRpcs):
    """Passes every RPC of a gRPC server through `faults`, named "{service}.{method}"."""

    def __init__(self, faults: Faults, service: str) -> None:
        self._faults = faults
        self._service = service

    async def around(self, rpc: Rpc) -> Any:
        call = f"{self._service}.{rpc.method}"

        async def serve() -> Any:
            try:
                return await rpc.serve()
            except grpc.aio.AbortError as error:
                raise Aborted(rpc.context.code(), rpc.context.details(), error) from error

        try:
            return await self._faults.around(
                call, lambda: str(rpc.request), serve, rpc.context.peer
            )
        except Broken as broken:
            return await rpc.context.abort(broken.code, str(broken))
        except Aborted as aborted:
            raise aborted.error from None
