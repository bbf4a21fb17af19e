"""The dialect's file: what it may say, and that all that is wrong with it is named at once."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions import settings
from functions.calls.call import Status
from functions.dialect.dialect import (
    CALL_FIELDS,
    EVENTS_IN,
    EVENTS_OUT,
    FIELDS,
    PUSH_FIELDS,
    PUSH_TYPES,
    USUAL,
    Ids,
)
from functions.dialect.reading import dialect_of, parsed
from functions.services.firestore.documents import EXPIRES_AT
from functions.settings import GatewaySettings, SettingsError
from functions.wire.requests import _READERS
from infra import ROOT
from tests.support.pages import read, rows, section
from tests.support.processes import settings_of

EXAMPLES = sorted((ROOT / "docs/dialects").glob("*.toml"))
SNAKE_CASE = ROOT / "docs/dialects/snake-case.toml"
STATUSES = "[calls.status]\n" + "\n".join(f'{status} = "{status}"' for status in Status)

FAULTS = {
    "colour = 1": "colour: is not known; there are events, relay, fields, push, calls, ids",
    "[events]\ninn = {}": "events.inn: is not known; there are in, out",
    "events = 7": "events: must be a table",
    "[events]\nin = []": "events.in: must be a table",
    '[events.in]\n"call:explode" = "x"': "events.in.call:explode: is not known; there are call:",
    '[events.in]\n"call:cancel" = 7': "events.in.call:cancel: must be a text, or a list of texts",
    '[events.in]\n"call:cancel" = ""': "events.in.call:cancel: '' must have 1 to 100 characters",
    '[events.in]\n"call:cancel" = "a\\tb"': "events.in.call:cancel: 'a\\tb' must have 1 to 100",
    '[events.in]\n"call:cancel" = []': "events.in.call:cancel: names nothing",
    '[events.in]\n"call:cancel" = ["a", 7]': "events.in.call:cancel: must be a text",
    '[events.in]\n"call:cancel" = "ping"': "events.in.call:cancel: 'ping' never comes as an event",
    '[events.in]\n"call:cancel" = "bye"\n"call:end" = ["end", "bye"]': (
        "events.in.call:end: 'bye' means call:cancel too"
    ),
    '[events.in]\n"call:reject" = "call:end"': "events.in.call:end: 'call:end' means call:reject",
    '[events.out]\n"call:cancelled" = ["a"]': "events.out.call:cancelled: must be a text",
    '[events.out]\n"call:ended" = "disconnect"': (
        "events.out.call:ended: 'disconnect' never reaches an app as an event"
    ),
    '[events.out]\n"call:cancelled" = "call:incoming"': (
        "events.out.call:cancelled: 'call:incoming' means call:incoming too"
    ),
    '[events.out]\n"call:incoming" = "ring"\n"call:error" = "ring"': (
        "events.out.call:error: 'ring' means call:incoming too"
    ),
    '[events.out]\n"call:incoming" = "call:ended"': (
        "events.out.call:incoming: 'call:ended' means call:ended too"
    ),
    "relay = []": "relay: must be a table",
    '[relay]\n"" = "x"': "relay.: '' must have 1 to 100 characters",
    "[relay]\nx = 7": "relay.x: must be a text",
    '[relay]\nx = ["y"]': "relay.x: must be a text",
    f'[relay]\nx = "{"y" * 101}"': f"relay.x: '{'y' * 101}' must have 1 to 100 characters",
    '[relay]\n"call:cancel" = "x"': "relay.call:cancel: 'call:cancel' is the name of an event of",
    '[relay]\n"call:cancelled" = "x"': "relay.call:cancelled: 'call:cancelled' is the name of an",
    '[relay]\nx = "call:cancelled"': "relay.x: 'call:cancelled' is the name of an event of Unring",
    '[relay]\nx = "call:accept"': "relay.x: 'call:accept' is the name of an event of Unring's",
    '[relay]\nbye = "x"\n[events.in]\n"call:end" = ["end", "bye"]': (
        "relay.bye: 'bye' is the name of an event of Unring's"
    ),
    '[relay]\nx = "over"\n[events.out]\n"call:ended" = "over"': (
        "relay.x: 'over' is the name of an event of Unring's"
    ),
    **{
        f'[relay]\n{sent} = "{heard}"': f"relay.{sent}: {name!r} is kept by Socket.IO's clients"
        for name in ("connect", "disconnect", "connect_error", "error", "ack", "ping", "pong")
        for sent, heard in ((name, "x"), ("x", name))
    },
    "[relay]\n" + "\n".join(f'x{each} = "y"' for each in range(51)): (
        "relay: must have at most 50 events"
    ),
    '[push.types]\ncall_cancelled = "incoming_call"': (
        "push.types.call_cancelled: 'incoming_call' means incoming_call too"
    ),
    '[push.types]\nincoming_call = "call_rejected"': (
        "push.types.incoming_call: 'call_rejected' means call_rejected too"
    ),
    '[fields]\ncallid = "x"': "fields.callid: is not known; there are callId",
    '[fields]\ncallId = "reason"': "fields.reason: 'reason' means callId too",
    '[fields]\ncallId = ["id", "x"]\ncallerId = "id"': "fields.callerId: 'id' means callId too",
    '[push.types]\nring = "x"': "push.types.ring: is not known; there are incoming_call",
    '[push.fields]\ncallId = "callerId"': "push.fields.callerId: 'callerId' means callId too",
    '[push.fields]\nroom = "callId"': "push.fields.room: 'callId' means callId too",
    '[push.fields]\ncallId = "from"': "push.fields.callId: FCM takes no field 'from'",
    '[push.fields]\ncallId = "google.id"': "push.fields.callId: FCM takes no field 'google.id'",
    '[calls.fields]\nid = "x"': "calls.fields.id: is not known; there are callerId",
    '[calls.fields]\ncallerId = "a.b"': "calls.fields.callerId: 'a.b' must have letters, digits",
    '[calls.fields]\ncallerId = "__a__"': "calls.fields.callerId: '__a__' must have letters",
    f'[calls.fields]\nendedAt = "{EXPIRES_AT}"': (
        f"calls.fields.endedAt: '{EXPIRES_AT}' begins as a field of ours"
    ),
    '[calls.fields]\ncallerId = "receiverId"': (
        "calls.fields.receiverId: 'receiverId' means callerId too"
    ),
    '[calls.status]\nringing = "x"': "calls.status.missed: has no word, which would be written",
    f"{STATUSES}\nringing2 = 'x'": "calls.status.ringing2: is not known; there are ringing",
    STATUSES.replace('"missed"', '["ended", "missed"]'): (
        "calls.status.ended: 'ended' means missed too"
    ),
    STATUSES.replace('"missed"', "[]"): "calls.status.missed: names nothing",
    '[ids]\nusers = "integer"': "ids.users: must be 'text' or 'number'",
    "[ids]\ncalls = true": "ids.calls: must be 'text' or 'number'",
    "[ids]\ncall_prefix = 7": "ids.call_prefix: must be a text",
    '[ids]\ncall_prefix = "a/"': "ids.call_prefix: must be what a document's name can begin with",
    '[ids]\ncall_prefix = "-"\ncalls = "number"': "ids.call_prefix: '-' begins a number",
    '[ids]\ncall_prefix = "17"\ncalls = "number"': "ids.call_prefix: '17' begins a number",
    '[ids]\ncall_documents = "with prefix"': "ids.call_documents: is of no use without call_prefix",
    '[ids]\ncall_prefix = "C"\ncall_documents = "no"': "ids.call_documents: must be 'with prefix'",
    'namespaces = "/user"': "namespaces: must be a list of texts",
    "namespaces = [7]": "namespaces: must be a text",
    'namespaces = ["user"]': "namespaces: 'user' must begin with a slash",
    'namespaces = ["/"]': "namespaces: '/' must begin with a slash",
    'namespaces = ["/a,b"]': "namespaces: '/a,b' must begin with a slash, and have no comma",
    "[ids\nusers =": "is no TOML: Expected ']' at the end of a table declaration (at line 1,",
    "a = 1\na = 2\nb = 1": "is no TOML: Cannot overwrite a value (at line 2,",
    "no/such/file.toml": "can't be read: [Errno 2] No such file",
}


def faults_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        settings_of(GatewaySettings, DIALECT=text)
    return [line.strip() for line in str(refused.value).splitlines()][1:]


@pytest.mark.parametrize(("text", "fault"), FAULTS.items())
def test_every_fault_is_named_where_it_is(text: str, fault: str) -> None:
    said = faults_of(text)
    assert any(line.startswith(f"DIALECT {fault}") for line in said), said


def test_all_faults_are_named_at_once_beside_those_of_other_variables() -> None:
    wrong = '[events.in]\n"call:cancel" = 7\n[fields]\nx = "y"\n[ids]\nusers = "x"\ncalls = "y"'
    with pytest.raises(SettingsError) as refused:
        settings_of(GatewaySettings, DIALECT=wrong, GATEWAY_SECRET="short")
    said = str(refused.value)
    named = ("events.in.call:cancel", "fields.x", "ids.users", "ids.calls")
    for part in (*(f"DIALECT {name}: " for name in named), "GATEWAY_SECRET "):
        assert said.count(f"\n  {part}") == 1


def test_a_name_that_is_given_up_may_be_taken() -> None:
    read = parsed('[events.in]\n"call:reject" = "call:end"\n"call:end" = "call:over"\n')
    assert (read.events_in["call:end"], read.events_in["call:over"]) == ("call:reject", "call:end")
    assert "call:reject" not in read.events_in


def test_what_is_relayed_may_have_a_name_that_is_given_up() -> None:
    read = parsed('[events.in]\n"call:end" = "over"\n[relay]\n"call:end" = "hung:up"')
    assert (read.events_in["over"], read.relay) == ("call:end", {"call:end": "hung:up"})


def test_fifty_events_may_be_relayed_and_several_heard_by_one_name() -> None:
    read = parsed("[relay]\n" + "\n".join(f'x{each} = "y"' for each in range(50)))
    assert read.relay == {f"x{each}": "y" for each in range(50)}


def test_fields_that_never_stand_together_may_have_one_name() -> None:
    assert parsed('[fields]\nreason = "message"').fields["message"] == "message"


def test_several_events_may_go_out_by_one_name() -> None:
    read = parsed('[events.out]\n"call:cancelled" = "over"\n"call:ended" = "over"')
    assert (read.events_out["call:cancelled"], read.events_out["call:ended"]) == ("over", "over")


def test_without_a_dialect_all_has_our_names() -> None:
    assert settings_of(GatewaySettings).dialect is USUAL
    assert USUAL.events_in == {name: name for name in EVENTS_IN}
    assert USUAL.ids == Ids()
    empty = parsed("\n")
    for each in ("events_in", "events_out", "fields", "fields_in", "push_types", "push_fields"):
        assert getattr(empty, each) == getattr(USUAL, each)
    assert (empty.calls, empty.ids, empty.namespaces) == (None, USUAL.ids, USUAL.namespaces)
    assert empty.relay == USUAL.relay == {}


def test_all_that_the_functions_read_has_a_name_in_the_dialect() -> None:
    assert set(EVENTS_IN) == set(_READERS)
    assert EXPIRES_AT.startswith("unring")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_can_be_given_by_their_paths_or_as_they_are(path: Path) -> None:
    by_path = settings_of(GatewaySettings, DIALECT=str(path)).dialect
    assert by_path.events_in == dialect_of(path.read_text()).events_in
    assert len(EXAMPLES) == 3
    assert f"(dialects/{path.name})" in read("docs/dialects.md")


def test_the_page_names_all_that_can_be_named() -> None:
    table = " ".join(" ".join(row) for row in rows(section("docs/dialects.md", "The file")))
    for name in (*EVENTS_IN, *EVENTS_OUT, *FIELDS, *PUSH_TYPES, *PUSH_FIELDS, *CALL_FIELDS):
        assert f"`{name}`" in table, name


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with suppress(ValueError):
        parsed(text)


def test_only_what_reads_a_dialect_loads_the_library_for_it() -> None:
    assert "tomllib" not in Path(settings.__file__).read_text()


def test_the_settings_of_every_function_have_the_dialect() -> None:
    for kind in settings.FUNCTIONS.values():
        assert settings_of(kind, DIALECT=str(SNAKE_CASE)).dialect.ids.users_are_numbers
