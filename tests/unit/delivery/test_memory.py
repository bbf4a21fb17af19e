"""Whom an instance remembers to have served, and the time it has."""

from datetime import UTC, datetime

from functions.calls.call import ConnectionId, SignalId
from functions.delivery.memory import Memory
from functions.ports.clock import system_clock

SERVED = ConnectionId("1=")


def test_whoever_was_served_is_remembered_by_signal() -> None:
    memory: Memory[ConnectionId] = Memory()
    memory.of(SignalId("one")).add(SERVED)
    assert memory.of(SignalId("one")) == {SERVED}
    assert memory.of(SignalId("two")) == set()


def test_of_more_than_ten_thousand_signals_the_one_not_asked_for_longest_is_forgotten() -> None:
    memory: Memory[ConnectionId] = Memory()
    for name in ("old", "asked for again"):
        memory.of(SignalId(name)).add(SERVED)
    for number in range(9_999):
        memory.of(SignalId("asked for again"))
        memory.of(SignalId(str(number)))
    assert memory.of(SignalId("asked for again")) == {SERVED}
    assert memory.of(SignalId("old")) == set()


def test_the_systems_clock_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= system_clock() <= datetime.now(UTC)
    assert system_clock().tzinfo is UTC
