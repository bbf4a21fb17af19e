"""What the texts of requests and responses say."""

import json
from urllib.parse import quote

import pytest

from infra.local.console.mentions import mentions
from infra.local.console.reading import (
    Said,
    Words,
    outcome_in,
    published_in,
    said_in_frame,
    said_in_request,
)
from tests.console.makers import commit, found, publish, read

WORDS = Words()
DATA = {"callId": "CALL_1"}


@pytest.mark.parametrize(
    "frame",
    [
        '{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": 7}',
        '42["call:cancel",{"callId":"CALL_1"}]',
        '4217["call:cancel",{"callId":"CALL_1"}]',
        '42/calls,3["call:cancel",{"callId":"CALL_1"}]',
        '2\x1e421["call:cancel",{"callId":"CALL_1"}]',
    ],
)
def test_a_frame_says_its_event_on_either_wire(frame: str) -> None:
    said = said_in_frame(frame)
    assert said == Said("call:cancel", DATA)
    assert said.call(WORDS) == "CALL_1"


@pytest.mark.parametrize(
    "frame", ["", "2", "40", '40{"token":"t"}', "42", "42[]", "[1]", "{", '{"event": 1}', "42[7]"]
)
def test_a_frame_without_an_event_says_none(frame: str) -> None:
    assert said_in_frame(frame) == Said()


def test_a_call_is_found_by_the_apps_own_words() -> None:
    words = Words(call_fields=("room", "callId"))
    assert Said("x", {"room": 17}).call(words) == "17"
    assert Said("x", {"room": ["CALL_1"]}).call(words) is None
    assert Said("x", {"room": "x" * 2000}).call(words) is None


@pytest.mark.parametrize(
    ("method", "target", "body", "event", "call"),
    [
        ("POST", "/v1/signals", '{"event":"call:end","data":{"callId":"C 1"}}', "call:end", 1),
        ("POST", "/v1/calls/C%201/cancel", "{}", "call:cancel", 1),
        ("PUT", "/v1/calls/C%201?x=1", "{}", "PUT /v1/calls/C%201", 1),
        ("POST", "/socket.io/?sid=s", '42["call:end",{"callId":"C 1"}]', "call:end", 1),
        ("GET", "/health?token=t", "", "GET /health", 0),
    ],
)
def test_a_request_says_its_event_or_its_path(
    method: str, target: str, body: str, event: str, call: int
) -> None:
    said = said_in_request(method, target, body)
    assert (said.event, said.call(WORDS)) == (event, "C 1" if call else None)


@pytest.mark.parametrize("id", ["CALL_1", "Ünïcødé", 'a "quoted" one', "back\\slash"])
def test_documents_are_found_by_their_collections(id: str) -> None:
    text = commit("unring_connections/c", f"calls/{id}", f"unring_outbox/{id}:s1")
    assert WORDS.call_in(text) == id
    assert WORDS.signals_in(text, id) == ["s1"]
    assert WORDS.signals_in(text, "CALL") == []
    assert Words(calls="other").call_in(text) is None


def test_users_are_found_in_documents_and_in_json_the_caller_first() -> None:
    text = found("calls/CALL_1", receiverId="bob", callerId='é "A"', status="ringing")
    assert WORDS.users_in(text) == {'é "A"': 0, "bob": 1}
    assert list(WORDS.users_in('{"x": 1, "userId": "eve"}')) == ["eve"]
    assert WORDS.users_in(read("calls/CALL_1")) == {}


def test_a_user_is_the_same_however_json_escapes_him() -> None:
    for ensure_ascii in (True, False):
        text = json.dumps({"userId": 'zoë "Z"'}, ensure_ascii=ensure_ascii)
        assert WORDS.users_in(text) == {'zoë "Z"': 2}


@pytest.mark.filterwarnings("ignore:invalid octal escape")  # protobuf decodes it by Python's rules
@pytest.mark.parametrize("value", [r"\xzz", r"\400", r"\u12"])
def test_what_is_no_message_and_looks_like_one_is_taken_as_it_is(value: str) -> None:
    text = f'key: "owner" value {{ string_value: "{value}" }}'
    assert WORDS.users_in(text) == {value: 3}
    assert WORDS.users_in(f'{{"owner": "{value}"}}') == {value: 3}


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    halved = said_in_frame(
        r'{"event": "x", "data": {"callId": "a\ud800", "b\uDC00": ["\ud83d\ude00"]}}'
    )
    assert halved == Said("x", {"callId": "a?", "b?": ["\N{GRINNING FACE}"]})
    assert WORDS.users_in(r'{"userId": "\ud800"}') == {"?": 2}


def test_what_was_published_is_read_as_it_is_delivered() -> None:
    events = ['{"callId":"é \\"1\\""}', "two\nlines"]
    assert list(published_in(publish(*events))) == events


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ('{"event":"ack","data":{"ok":true,"outcome":"cancelled"}}', "cancelled"),
        ('437[{"outcome": "already_accepted"}]', "already_accepted"),
        ("", None),
    ],
)
def test_a_verdict_says_its_outcome(response: str, outcome: str | None) -> None:
    assert outcome_in(response) == outcome


@pytest.mark.parametrize("text", ["x/CALL_1", '"CALL_1"', "CALL_1:s", "CALL_1", "a CALL_1 b"])
def test_an_id_is_mentioned_as_a_whole(text: str) -> None:
    assert mentions(text, "CALL_1")


@pytest.mark.parametrize("id", ["Ünïcødé", 'a "quoted" one', "with space/é", "a.b+c(d)", "c1="])
def test_an_id_is_mentioned_however_a_text_writes_it(id: str) -> None:
    in_json = json.dumps({"callId": id}), json.dumps({"callId": id}, ensure_ascii=False)
    for text in (id, f"/x/{quote(id, safe='')} y", *in_json, read(f"calls/{id}")):
        assert mentions(text, id)
    assert all(mentions(publish(text), id) for text in in_json)


@pytest.mark.parametrize("text", ["CALL_12", "XCALL_1", "my-CALL_1", "CALL_1-b", "", "call_1"])
def test_a_part_of_another_id_is_no_mention(text: str) -> None:
    assert not mentions(text, "CALL_1")
    assert not mentions(text, "")
