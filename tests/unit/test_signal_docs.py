"""A signal is told of wherever CONTRIBUTING.md says that it must be."""

import re

import pytest

from functions.calls import transitions
from functions.calls.call import Party
from functions.calls.transitions import (
    CALLER_GONE,
    SIGNALS,
    TRANSITIONS,
    Transition,
    Whom,
    transitions_of,
)
from tests.proof.races.model import INITIATED, RULES, TIMERS, Notice, Rule
from tests.support.pages import LINES, glossary, read, rows, section

PROTOCOL = "docs/protocol.md"

each_row = pytest.mark.parametrize(
    "row", TRANSITIONS, ids=lambda row: f"{row.signal} of a call that is {row.from_status}"
)


def table_rows(title: str, name: str, *, column: int = 0) -> list[list[str]]:
    """The rows under a heading of the protocol that name it in this column."""
    return [row for row in rows(section(PROTOCOL, title)) if f"`{name}`" in row[column]]


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_has_a_row_among_the_frames(signal: str) -> None:
    (row,) = table_rows("Frames of the client", signal)
    assert row[0] == f"`{signal}`"


@each_row
def test_the_default_reason_of_a_signal_stands_below_the_frames(row: Transition) -> None:
    assert f"`{row.default_reason}`" in section(PROTOCOL, "Frames of the client")


@each_row
def test_the_outcome_of_a_signal_has_a_row_among_the_answers(row: Transition) -> None:
    assert any(ok == "true" for ok, *_ in table_rows("Answers", row.to_status, column=1))


@each_row
def test_an_event_has_a_row_that_names_the_signals_which_it_comes_after(row: Transition) -> None:
    for notice in row.notices:
        (found,) = table_rows("Events", notice.event)
        assert f"`{row.signal}`" in found[2]


@each_row
def test_a_message_by_fcm_stands_among_the_types_of_messages(row: Transition) -> None:
    for notice in row.notices:
        if notice.push:
            (found,) = table_rows("FCM data messages", "type")
            assert f"`{notice.push.type}`" in found[1]


def test_the_diagram_of_a_call_is_the_table_of_transitions() -> None:
    nobodys = {transitions.TIMED_OUT.signal: "its time is over", CALLER_GONE: "its caller is gone"}
    (diagram,) = re.findall(
        r"^stateDiagram-v2\n  \[\*\] --> ringing.*?```", read("docs/architecture.md"), LINES
    )
    arrows = re.findall(r"^  (\w+) --> (\w+): (.+)$", diagram, re.MULTILINE)
    assert sorted(arrows) == sorted(
        (row.from_status.value, row.to_status.value, nobodys.get(row.signal, row.signal))
        for row in (*TRANSITIONS, transitions.TIMED_OUT, *transitions_of(CALLER_GONE))
    )


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_glossary_and_the_changelog_name_every_signal(signal: str) -> None:
    assert f"`{signal}`" in glossary()["signal"]
    assert f"`{signal}`" in read("CHANGELOG.md")


def modelled_rules() -> list[Rule]:
    return [*(rule for signal in RULES for rule in RULES[signal]), *TIMERS.values()]


def table() -> list[tuple[Transition, Party | None]]:
    """Each row that a model has, with each who may send its signal."""
    nobodys = (transitions.TIMED_OUT, *transitions_of(CALLER_GONE))
    return [(row, party) for row in (*TRANSITIONS, *nobodys) for party in row.senders or {None}]


def test_the_model_tells_whom_the_table_tells() -> None:
    rules = modelled_rules()
    assert {(rule.sender, rule.was, rule.to, each) for rule in rules for each in rule.notices} == {
        (
            party.name.lower() if party else "nobody",
            row.from_status.value,
            row.to_status.value,
            as_modelled(row, notice, party),
        )
        for row, party in table()
        for notice in row.notices
    }
    (incoming,) = INITIATED.notices
    assert incoming == as_modelled(TRANSITIONS[0], transitions.INCOMING, Party.CALLER)


def test_the_model_knows_the_causes_of_the_table() -> None:
    assert {(rule.sender, rule.was, rule.to, rule.cause) for rule in modelled_rules()} == {
        (party.name.lower() if party else "nobody", row.from_status, row.to_status, row.cause)
        for row, party in table()
    }


def as_modelled(row: Transition, notice: transitions.Notice, sender: Party | None) -> Notice:
    whom = notice.whom.name.lower()
    if notice.whom is Whom.OTHER_PARTY:
        whom = "receiver" if sender is Party.CALLER else "caller"
    is_nobodys = row.signal in (transitions.TIMED_OUT.signal, CALLER_GONE)
    reason = notice.reason or (row.default_reason if is_nobodys else None)
    cause = notice.cause or row.cause
    return Notice(
        whom,
        notice.event,
        tuple(status.value for status in notice.true_while),
        notice.push.type if notice.push else None,
        (reason, str(cause)) if reason else None,
        notice.is_elsewhere,
    )


def test_the_model_has_a_rule_for_everybody_who_may_send_a_signal() -> None:
    modelled = {
        (signal, rule.sender, rule.was, rule.to) for signal in RULES for rule in RULES[signal]
    }
    assert modelled == {
        (row.signal, party.name.lower(), row.from_status.value, row.to_status.value)
        for row in TRANSITIONS
        for party in row.senders
    }
