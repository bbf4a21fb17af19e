"""Replies to the frames of clients: the one place where a frame's faults are caught."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from functions.calls.call import ConnectionId, SignalId
from functions.calls.decision import LIMITED, UNAVAILABLE, Verdict, invalid
from functions.calls.ring import Initiate
from functions.calls.transitions import Signal
from functions.clients.connection import NotUpgraded
from functions.delivery.commit import Received
from functions.delivery.initiating import Initiating
from functions.delivery.relay import Relaying
from functions.delivery.signaling import Signaling
from functions.dialect.dialect import USUAL, Ids
from functions.inbound.load import Load, Overloaded, urgency_of
from functions.inbound.naming import named, names_known_call
from functions.inbound.rate import FrameRate, Rate
from functions.ports.clock import Clock
from functions.ports.identity import IdentityUnavailable
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.sessions.registration import Registration
from functions.sessions.upgrade import Upgrades
from functions.telemetry import Log, latency_ms
from functions.wire import socketio
from functions.wire.codecs import Codec, Codecs
from functions.wire.frames import (
    Connect,
    Frame,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    RegisterDevice,
    Relay,
    Request,
    RequestFrame,
    UnregisterDevice,
    Upgrade,
)
from functions.wire.requests import with_call_id

log = Log(__name__)


def new_signal_id() -> SignalId:
    return SignalId(uuid.uuid4().hex)


def new_call_id() -> str:
    """In lower case, as iOS's CallKit has them."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Frames:
    """Hands each frame to the part that carries it out, and encodes the reply."""

    codecs: Codecs
    signaling: Signaling
    initiating: Initiating
    relaying: Relaying
    registration: Registration
    admission: Admission
    closing: Closing
    upgrades: Upgrades
    rate: FrameRate
    load: Load
    clock: Clock
    new_id: Callable[[], SignalId]
    ids: Ids = USUAL.ids

    async def reply(self, id: ConnectionId, received_at: datetime | None, text: bytes) -> str:
        """The frame that goes back to the sender. `received_at` is when API Gateway got `text`.

        There is always a reply, and it is never empty: API Gateway or the client would end the
        session otherwise.
        """
        codec = self.codecs.of(text)
        rate = self.rate.of(id, self.clock())
        if rate is Rate.EXCEEDED:
            await self._close(id)
        if rate is not Rate.KEPT:
            return codec.encode_reply(LIMITED, codec.reply_to(text))
        frame: Frame | None = None
        try:
            frame = codec.decode(text)
            if isinstance(frame, RequestFrame):
                frame = with_call_id(frame, new_call_id, self.ids)
            with self.load.carrying_out(urgency_of(frame)):
                return await self._reply_upgraded(codec, frame, id, received_at)
        except Overloaded as error:
            log.warning("overloaded", frame=type(frame).__name__, error=str(error))
        except (StoreUnavailable, PublishFailed, IdentityUnavailable) as error:
            log.error("frame failed", **_names_in(frame), error=str(error))
        except Exception:
            log.exception("frame failed", **_names_in(frame))
        return self._unavailable(codec, frame, received_at)

    async def _close(self, id: ConnectionId) -> None:
        """Closes the socket of a client that sends too many frames. Costs 1 DELETE."""
        log.warning("too many frames", outcome="limited")
        if not await self.closing.close_socket(id):
            self.rate.not_closed(id)

    async def _reply_upgraded(
        self, codec: Codec, frame: Frame, id: ConnectionId, received_at: datetime | None
    ) -> str:
        """The reply to a frame that may have overtaken the one by which its client upgraded. It is
        carried out also for a client who must connect anew, as it has not been told all that waited
        for it."""
        try:
            return await self._reply(codec, frame, id, received_at)
        except NotUpgraded:
            upgraded = await self.upgrades.complete(id)
        try:
            reply = await self._reply(codec, frame, id, received_at)
        except NotUpgraded:
            return upgraded
        return reply if upgraded == socketio.NOOP else upgraded

    async def _reply(
        self, codec: Codec, frame: Frame, id: ConnectionId, received_at: datetime | None
    ) -> str:
        match frame:
            case RequestFrame(request):
                verdict = await self._verdict(request, id, received_at)
                self._log_verdict(request, verdict, received_at)
                return codec.encode_reply(verdict, frame)
            case Malformed(field, message):
                latency = latency_ms(received_at, self.clock())
                log.info("frame", outcome="invalid", field=field, latencyMs=latency)
                return codec.encode_reply(invalid(field, message), frame)
            case Connect():
                return await self.admission.admit(id, frame, received_at)
            case Goodbye():
                reply = await self.closing.leave(id, frame, received_at)
                log.info("goodbye", outcome="left")
                return reply
            case Upgrade():
                return await self.upgrades.complete(id)
            case Ping():
                return codec.encode_pong(frame)
            case Ignored():
                return socketio.NOOP

    def _unavailable(self, codec: Codec, frame: Frame | None, received_at: datetime | None) -> str:
        """The reply to a frame that we could not carry out."""
        match frame:
            case RequestFrame(request):
                self._log_verdict(request, UNAVAILABLE, received_at)
                return codec.encode_reply(UNAVAILABLE, frame)
            # A connect error would keep the client out for good. And after a goodbye that nobody
            # could note, the client would be told for hours if its socket stayed open.
            case Connect() | Goodbye() | Upgrade():
                return socketio.RECONNECT
            case _:
                return codec.encode_reply(UNAVAILABLE, None)

    async def _verdict(
        self, request: Request, id: ConnectionId, received_at: datetime | None
    ) -> Verdict:
        match request:
            case Signal():
                received = Received(self.new_id(), self.clock(), received_at)
                return await self.signaling.handle(request, id, received)
            case Initiate():
                received = Received(self.new_id(), self.clock(), received_at)
                return await self.initiating.handle(request, id, received)
            case RegisterDevice() | UnregisterDevice():
                return await self.registration.handle(request, id, received_at)
            case Relay():
                return await self.relaying.handle(request, id, received_at)

    def _log_verdict(
        self, request: Request, verdict: Verdict, received_at: datetime | None
    ) -> None:
        latency = latency_ms(received_at, self.clock())
        names = named(request, is_known=names_known_call(verdict))
        said = {"outcome": verdict.outcome, "cause": verdict.cause}
        log.info("verdict", **names, **said, latencyMs=latency)


def _names_in(frame: Frame | None) -> dict[str, object]:
    """The parts of a frame that may be logged."""
    names = named(frame.request, is_known=False) if isinstance(frame, RequestFrame) else {}
    return {"frame": type(frame).__name__, **names}
