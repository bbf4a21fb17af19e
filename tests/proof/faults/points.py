"""The remote calls on the path of a signal, and how each is told from all others."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from functions.services.documents import device_id
from functions.wire.frames import FcmToken
from infra.local.faults import Fault, Kind

NOT_REPEATED = grpc.StatusCode.RESOURCE_EXHAUSTED  # by any client library that is used here


@dataclass(eq=False)
class Cast:
    """Who and what one case is about; no other case knows any of it."""

    unique: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    calls: tuple[str, ...] = ()
    told_connections: list[str] = field(default_factory=list)  # ids, once the phones are connected

    def __post_init__(self) -> None:
        self.calls = (f"CALL_{self.unique}",)

    def add_call(self) -> None:
        self.calls = (*self.calls, f"NEXT_{self.unique}")

    @property
    def call(self) -> str:
        return self.calls[0]

    @property
    def sender(self) -> str:
        return f"USR_SENDER_{self.unique}"

    @property
    def told(self) -> str:
        return f"USR_TOLD_{self.unique}"

    @property
    def tokens(self) -> tuple[str, str]:
        """Of the told user's devices."""
        return f"first-{self.unique}", f"second-{self.unique}"

    @property
    def sender_token(self) -> str:
        return f"sender-{self.unique}"

    def device(self, number: int) -> str:
        return device_id(FcmToken(self.tokens[number]))


About = Callable[[Cast], tuple[str, ...]]
Prelude = Callable[[Cast], list[Fault]]


def _nothing(_: Cast) -> list[Fault]:
    return []


@dataclass(frozen=True)
class Point:
    """One remote call, or one delivery, on the path of a signal.

    `about` and `skip` tell it from the others, as Fault has them; `prelude` is what goes wrong
    before, without which nobody would make this call.
    """

    function: str  # who makes it, or whom the delivery is for
    name: str
    call: str
    about: About
    skip: int = 0
    prelude: Prelude = _nothing
    second_token_dies: bool = False
    due_seconds: float = 0.0  # before, such calls are about other things


def _the_call(cast: Cast) -> tuple[str, ...]:
    return (cast.call,)


def _posts_fail(times: int, number: int) -> Prelude:
    def prelude(cast: Cast) -> list[Fault]:
        about = (cast.call, cast.told_connections[number].rstrip("="))
        return [Fault(Kind.FAIL, "connections.POST", about, times=times)]

    return prelude


def publish_fails(cast: Cast) -> list[Fault]:
    return [Fault(Kind.FAIL, "pubsub.Publish", (cast.call,), code=NOT_REPEATED)]


def _second_push_fails(cast: Cast) -> list[Fault]:
    about = (cast.call, cast.tokens[1])
    return [Fault(Kind.FAIL, "fcm.send", about, code=NOT_REPEATED)]


GATEWAY = (
    Point("gateway", "load", "firestore.BatchGetDocuments", _the_call),
    Point("gateway", "commit", "firestore.Commit", lambda cast: (f"calls/{cast.call}",)),
    Point("gateway", "look-up", "firestore.RunQuery", lambda cast: ("connections", cast.told)),
    Point("gateway", "post", "connections.POST", _the_call),
    Point("gateway", "publish", "pubsub.Publish", _the_call),
)
DELIVER = (
    Point(
        "deliver",
        "look-up",
        "firestore.RunQuery",
        lambda cast: ("connections", cast.told),
        skip=1,  # the gateway's
    ),
    Point(
        "deliver",
        "post",
        "connections.POST",
        lambda cast: (cast.call, cast.told_connections[0].rstrip("=")),
        skip=1,  # the gateway's
        prelude=_posts_fail(1, 0),
    ),
    Point(
        "deliver",
        "commit",
        "firestore.Commit",
        lambda cast: (f"outbox/{cast.call}",),
        skip=1,  # the gateway's
    ),
    Point(
        "deliver",
        "mark",
        "firestore.Commit",
        lambda cast: (cast.told_connections[0], "servedSignal"),
        prelude=_posts_fail(2, 1),
    ),
)
COPIES = (
    Point(
        "deliver",
        "look for the entry",
        "firestore.BatchGetDocuments",
        lambda cast: (f"outbox/{cast.call}",),
        skip=1,  # the gateway's
        prelude=publish_fails,
    ),
    Point(
        "deliver",
        "claim",
        "firestore.Commit",
        lambda cast: (f"outbox/{cast.call}", "claimedBy"),
        prelude=publish_fails,
    ),
    Point(
        "deliver",
        "commit of a copy",
        "firestore.Commit",
        lambda cast: ("delete: ", f"outbox/{cast.call}"),
        prelude=publish_fails,
    ),
)
PUSH = (
    Point("push", "look-up", "firestore.RunQuery", lambda cast: ("devices", cast.told)),
    Point("push", "send", "fcm.send", lambda cast: (cast.call, cast.tokens[0])),
    Point(
        "push",
        "mark",
        "firestore.Commit",
        lambda cast: (cast.device(0), "servedSignal"),
        prelude=_second_push_fails,
    ),
    Point(
        "push",
        "forget",
        "firestore.Commit",
        lambda cast: (cast.device(1),),
        second_token_dies=True,
    ),
    Point(
        "push",
        "mark, of a copy",
        "firestore.Commit",
        lambda cast: (cast.device(0), "servedSignal"),
        prelude=publish_fails,
    ),
)
SWEEP_LOOK = Point(
    "sweep",
    "look",
    "firestore.RunQuery",
    lambda _: ("outbox", "createdAt"),
    prelude=publish_fails,
    due_seconds=3.0,
)
SWEEP_PUBLISH = Point(
    "sweep",
    "publish",
    "pubsub.Publish",
    _the_call,
    skip=1,  # the gateway's
    prelude=publish_fails,
)
DELIVERIES = (
    Point("deliver", "delivery", "delivery.deliver", _the_call),
    Point(
        "deliver",
        "delivery, nobody served yet",
        "delivery.deliver",
        _the_call,
        prelude=_posts_fail(1, 0),
    ),
    Point("push", "delivery", "delivery.push", _the_call),
)
