"""What each call is: how it is labelled, which function it calls, and whether a trace begins by
it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Root(StrEnum):
    """By what a trace begins."""

    FRAME = "frame"
    REQUEST = "request"
    TASK = "task"
    SWEEP = "sweep"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a call. One that `serves` a function calls it; all others are made by one."""

    label: str
    serves: str | None = None
    root: Root | None = None


CONNECT = "integration.$connect"
COMMIT = "firestore.Commit"
PUBLISH = "pubsub.Publish"
SEND = "fcm.send"

_KINDS: Mapping[str, Kind] = {
    CONNECT: Kind("connect", "gateway", Root.REQUEST),
    "integration.$disconnect": Kind("close", "gateway", Root.CLOSE),
    "job.sweep": Kind("sweep", "sweep", Root.SWEEP),
    "firestore.BatchGetDocuments": Kind("read"),
    "firestore.RunQuery": Kind("look-up"),
    COMMIT: Kind("commit"),
    PUBLISH: Kind("publish"),
    "cloudtasks.CreateTask": Kind("schedule"),
    "connections.POST": Kind("post"),
    "connections.DELETE": Kind("hang up"),
    SEND: Kind("push"),
    "webhook.POST": Kind("webhook"),
    "keys.GET": Kind("keys"),
}
# Of a subscription's name: which function it is for, where that is not its whole name.
_WEBHOOKS = ("webhook-", "wanted-")


def kind_of(call: str) -> Kind:
    """The kind of a call of this name; one that is in no table is labelled by its own name."""
    if call in _KINDS:
        return _KINDS[call]
    service, _, name = call.partition(".")
    match service:
        case "integration":
            return Kind("frame", "gateway", Root.FRAME)
        case "front":
            return Kind("request", "api", Root.REQUEST)
        case "task":
            return Kind("task", "ring", Root.TASK)
        case "delivery":
            return Kind("delivery", "webhook" if name.startswith(_WEBHOOKS) else name)
        case _:
            return Kind(name)
