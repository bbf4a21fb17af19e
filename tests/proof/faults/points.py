"""The remote calls on the path of a signal, and how each is told from all others."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import grpc

from infra.emulators.faults import Fault, Kind
from tests.proof.faults.cast import Cast

NOT_REPEATED = grpc.StatusCode.RESOURCE_EXHAUSTED  # by any client library that is used here

# How a Commit says what is noted on an outbox entry, and that nobody is left to be told.
SERVED, PUSHED = 'field_path: "served"', 'field_path: "pushed"'
DONE = 'field_paths: "pendingSince"'

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
    catches_up: bool = False  # the call is made for phones that connect when all is delivered
    is_late: bool = False  # who is held here has yet to look whether the event is still true
    backend_pushes: bool = False  # the stack's pushes of call_cancelled are the backend's
    # Of a ring that ends by itself: the call is made when it begins.
    at_the_start: bool = False
    # Without this call nobody need see that the caller is gone: then the ring's time is over.
    is_unseen: bool = False


def the_call(cast: Cast) -> tuple[str, ...]:
    return (cast.call,)


def the_entry(cast: Cast) -> tuple[str, ...]:
    return (f"outbox/{cast.call}:",)


def posts_fail(times: int, number: int) -> Prelude:
    def prelude(cast: Cast) -> list[Fault]:
        about = (cast.call, cast.connection(number))
        return [Fault(Kind.FAIL, "connections.POST", about, times=times)]

    return prelude


def publish_fails(cast: Cast) -> list[Fault]:
    return [Fault(Kind.FAIL, "pubsub.Publish", (cast.call,), code=NOT_REPEATED)]


def _push_comes_later(cast: Cast) -> list[Fault]:
    """Of a copy: what `push` notes meanwhile on the same entry would be in the claim's way."""
    late = Fault(Kind.DELAY, "delivery.push", (cast.call,), seconds=2.0)
    return [*publish_fails(cast), late]


def second_push_fails(cast: Cast) -> list[Fault]:
    about = (cast.call, cast.tokens[1])
    return [Fault(Kind.FAIL, "fcm.send", about, code=NOT_REPEATED)]


def _commit(kind: Kind) -> Prelude:
    return lambda cast: [
        Fault(kind, "firestore.Commit", (f"calls/{cast.call}",), code=NOT_REPEATED)
    ]


def delivery_fails(function: str) -> Prelude:
    return lambda cast: [Fault(Kind.FAIL, f"delivery.{function}", (cast.call,))]


GATEWAY = (
    Point("gateway", "load", "firestore.BatchGetDocuments", the_call),
    Point("gateway", "commit", "firestore.Commit", lambda cast: (f"calls/{cast.call}",)),
    Point("gateway", "look-up", "firestore.RunQuery", lambda cast: ("connections", cast.told)),
    Point("gateway", "post", "connections.POST", the_call),
    Point("gateway", "publish", "pubsub.Publish", the_call),
    Point(
        "gateway",
        "reload, of a commit that failed",
        "firestore.BatchGetDocuments",
        the_entry,
        prelude=_commit(Kind.FAIL),
    ),
    Point(
        "gateway",
        "reload, of a commit whose reply was lost",
        "firestore.BatchGetDocuments",
        the_entry,
        prelude=_commit(Kind.LOSE_REPLY),
    ),
)
# A signal that comes over HTTPS goes the same way.
API = tuple(replace(point, function="api") for point in GATEWAY)
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
        lambda cast: (cast.call, cast.connection(0)),
        skip=1,  # the gateway's
        prelude=posts_fail(1, 0),
    ),
    Point("deliver", "commit", "firestore.Commit", lambda cast: (*the_entry(cast), DONE, SERVED)),
    Point(
        "deliver",
        "note of some",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), SERVED),
        prelude=posts_fail(2, 1),
    ),
    Point(
        "deliver",
        "look at the entry",
        "firestore.BatchGetDocuments",
        the_entry,
        prelude=delivery_fails("deliver"),
    ),
)
COPIES = (
    Point(
        "deliver",
        "claim",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), "claimedBy"),
        prelude=_push_comes_later,
    ),
    Point(
        "deliver",
        "commit of a copy",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), DONE),
        prelude=publish_fails,
    ),
)
# Of phones that connect after the event was delivered: these are armed only then.
CATCH_UP = (
    Point(
        "deliver",
        "look for what was missed",
        "firestore.RunQuery",
        lambda cast: ("outbox", "recipients", cast.told),
        catches_up=True,
    ),
    Point(
        "deliver",
        "look at the calls of what was missed",
        "firestore.BatchGetDocuments",
        lambda cast: (f"calls/{cast.call}",),
        catches_up=True,
    ),
    Point("deliver", "post of what was missed", "connections.POST", the_call, catches_up=True),
    Point(
        "deliver",
        "note of what was missed",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), SERVED),
        catches_up=True,
    ),
)
PUSH = (
    Point("push", "look-up", "firestore.RunQuery", lambda cast: ("devices", cast.told)),
    Point("push", "send", "fcm.send", lambda cast: (cast.call, cast.tokens[0])),
    Point(
        "push",
        "note of some",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), PUSHED),
        prelude=second_push_fails,
    ),
    Point(
        "push",
        "say that a device is gone",
        "pubsub.Publish",
        lambda cast: ("device.gone", cast.tokens[1]),
        second_token_dies=True,
    ),
    Point(
        "push",
        "forget",
        "firestore.Commit",
        lambda cast: (f"devices/{cast.device(1)}",),
        second_token_dies=True,
    ),
    Point(
        "push",
        "look at the entry",
        "firestore.BatchGetDocuments",
        the_entry,
        prelude=delivery_fails("push"),
    ),
)
WEBHOOK_PATHS = ("/calls", "/audit")  # of the app's backend
WEBHOOK = (
    Point("webhook", "post", "webhook.POST", lambda cast: (f"{WEBHOOK_PATHS[0]} ", cast.call)),
    Point(
        "webhook",
        "post again",
        "webhook.POST",
        lambda cast: (f"{WEBHOOK_PATHS[0]} ", cast.call),
        skip=1,
        prelude=lambda cast: [
            Fault(Kind.FAIL, "webhook.POST", (f"{WEBHOOK_PATHS[0]} ", cast.call))
        ],
    ),
    Point(
        "webhook",
        "post of a copy",
        "webhook.POST",
        lambda cast: (f"{WEBHOOK_PATHS[1]} ", cast.call),
        prelude=publish_fails,
    ),
    Point(
        "webhook",
        "post that a device is gone",
        "webhook.POST",
        lambda cast: (f"{WEBHOOK_PATHS[0]} ", "device.gone", cast.tokens[1]),
        second_token_dies=True,
    ),
)
# Where the backend pushes: what one URL is asked for.
WANTED = (
    Point(
        "webhook",
        "look at the entry of a wanted push",
        "firestore.BatchGetDocuments",
        the_entry,
        backend_pushes=True,
    ),
    Point(
        "webhook",
        "ask for a push",
        "webhook.POST",
        lambda cast: (f"{WEBHOOK_PATHS[0]} ", "push.wanted", cast.call),
        backend_pushes=True,
    ),
)
PUSH_COPY = Point(
    "push",
    "note of a copy",
    "firestore.Commit",
    lambda cast: (*the_entry(cast), PUSHED),
    prelude=publish_fails,
)
SWEEP_LOOK = Point(
    "sweep",
    "look",
    "firestore.RunQuery",
    lambda _: ("outbox", "pendingSince"),
    prelude=publish_fails,
    due_seconds=3.0,
)
SWEEP_PUBLISH = Point(
    "sweep",
    "publish",
    "pubsub.Publish",
    the_call,
    skip=1,  # the gateway's
    prelude=publish_fails,
)
DELIVERIES = (
    Point("deliver", "delivery", "delivery.deliver", the_call),
    Point(
        "deliver",
        "delivery, nobody served yet",
        "delivery.deliver",
        the_call,
        prelude=posts_fail(1, 0),
    ),
    Point("push", "delivery", "delivery.push", the_call),
)
# All of a signal's path, in its order; who catches up comes after.
PATH = (*GATEWAY, *DELIVER, *COPIES, *PUSH, PUSH_COPY, *WEBHOOK, SWEEP_LOOK, SWEEP_PUBLISH)
