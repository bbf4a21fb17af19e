"""What stands between the functions fits what they send and read, and is as in the cloud."""

import re

from functions.calls.call import Call, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.transitions import SIGNALS, PushedBy, PushPolicy
from functions.published import ConnectionAdmitted, DeviceGone, attributes
from functions.settings import GatewaySettings, load
from infra import ROOT
from infra.emulators.pubsub import compile_filter
from infra.local import topology
from tests.support.makers import CALL, CALLER, RECEIVER, event, now
from tests.support.processes import environment


def ring(by: PushedBy | None) -> CallEvent:
    """`call:incoming`, which no client's signal makes."""
    call = Call(CALL, CALLER, RECEIVER, Status.RINGING)
    return CallEvent.of_ring(call, SignalId("s"), now(), PushPolicy(incoming=by))


ADMITTED = ConnectionAdmitted(connection_id=ConnectionId("c="), expires_at=now())


def test_push_is_called_only_with_what_it_has_to_send() -> None:
    matches = compile_filter(topology.PUSH_FILTER)
    for signal in SIGNALS:
        made = event(signal)
        assert matches(attributes(made)) == bool(made.push_recipients)
    for by in (*PushedBy, None):
        assert matches(attributes(ring(by))) == (by is PushedBy.UNRING)
    assert not matches(attributes(ADMITTED))


GONE = DeviceGone(user_id=UserId("USR_2"), token="t", platform="web", registered_at=0, found_at=0)


def test_webhook_is_called_with_what_the_backend_is_to_know_and_to_push() -> None:
    told, wanted = map(compile_filter, (topology.WEBHOOK_FILTER, topology.WANTED_FILTER))
    backend = PushPolicy(cancelled=PushedBy.BACKEND)
    for signal in SIGNALS:
        made = event(signal, pushes=backend)
        assert told(attributes(made))
        assert wanted(attributes(made)) == bool(made.backend_recipients)
    for by in (*PushedBy, None):
        assert told(attributes(ring(by)))
        assert wanted(attributes(ring(by))) == (by is PushedBy.BACKEND)
    assert told(attributes(GONE))
    assert not wanted(attributes(GONE))
    assert not told(attributes(ADMITTED))


def test_ring_is_called_only_with_rings_that_end_by_themselves() -> None:
    matches = compile_filter(topology.RING_FILTER)
    for signal in SIGNALS:
        assert not matches(attributes(event(signal)))
    assert not matches(attributes(ring(PushedBy.UNRING)))
    call = Call(CALL, CALLER, RECEIVER, Status.RINGING, rings_until=now())
    assert matches(attributes(CallEvent.of_ring(call, SignalId("s"), now())))
    for other in (ADMITTED, GONE):
        assert not matches(attributes(other))


def test_deliver_is_called_with_all_that_sockets_may_be_told() -> None:
    matches = compile_filter(topology.DELIVER_FILTER)
    assert matches(attributes(event()))
    assert matches(attributes(ring(PushedBy.UNRING)))
    assert matches(attributes(ADMITTED))
    assert not matches(attributes(GONE))


def test_the_topic_is_the_one_that_is_published_to_by_default() -> None:
    assert load(GatewaySettings, environment()).events_topic == topology.TOPIC


def test_a_delivery_is_over_before_its_acknowledgement_is_due() -> None:
    # A query, all posts or messages at once, a commit: 4 + 10 + 4 seconds at the very most.
    assert topology.ACK_SECONDS > 18
    # A look at the outbox, and a webhook.
    assert topology.WEBHOOK_ACK_SECONDS > 4 + 15


def test_the_caller_has_the_name_that_terraform_gives_it() -> None:
    accounts = (ROOT / "infra/cloud/modules/unring/accounts.tf").read_text()
    assert re.search(r"account_id += \"\${var\.name}-caller\"", accounts)
    assert topology.caller("shop") == "unring-caller@shop.iam.gserviceaccount.com"
