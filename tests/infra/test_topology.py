"""What stands between the functions fits what they send and read."""

from functions.calls.signals import EVENTS, PUSHES
from functions.settings import load
from infra.local import topology
from infra.local.pubsub import compile_filter
from tests.support.processes import environment


def test_phones_are_pushed_exactly_what_the_table_of_signals_says() -> None:
    matches = compile_filter(topology.PUSH_FILTER)
    assert {event for event in EVENTS if matches({"type": event})} == set(PUSHES)


def test_the_topic_is_the_one_that_is_published_to_by_default() -> None:
    assert load("gateway", environment()).events_topic == topology.TOPIC


def test_a_delivery_is_over_before_its_acknowledgement_is_due() -> None:
    # A query, all posts or messages at once, a commit: 4 + 10 + 4 seconds at the very most.
    assert topology.ACK_SECONDS > 18
