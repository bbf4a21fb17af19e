"""Whatever anybody sends to the functions is answered with a reason, and does nothing."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
import pytest

from functions.calls.call import CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent, Recipient
from functions.calls.transitions import Push
from functions.settings import FUNCTIONS
from infra.local.stack import Stack, running
from tests.proof.bad_input.case import Cases, World, random_of, traces_of
from tests.proof.bad_input.deliveries import wrong_with_lines
from tests.proof.bad_input.envelopes import envelopes
from tests.proof.bad_input.frames import (
    Sender,
    json_frames,
    socketio_frames,
    wrong_with_frame,
)
from tests.proof.bad_input.polling import polls
from tests.proof.bad_input.requests import handshakes, mapped
from tests.proof.bad_input.run import options, run
from tests.proof.bad_input.traces import Documents, Logs, changes
from tests.support.collections import CONNECTIONS

WORLD = World(
    project="project",
    secret="a secret of sixteen and more",
    call="CALL_1",
    caller="USR_1",
    receiver="USR_2",
    stranger="USR_3",
    absent="USR_4",
    connection="nobody=",
    marker="MARKER",
    now=1_700_000_000_000,
)

COUNT = 3_000  # the whole proof sends 100,000


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One of its own, as nothing else may happen on it meanwhile."""
    async with running(options(tmp_path_factory.mktemp("logs"))) as made:
        yield made


async def test_of_all_bad_inputs_none_does_anything_or_goes_without_an_answer(
    stack: Stack,
) -> None:
    rows = await run(stack, COUNT, seed=1)
    assert [finding for row in rows for finding in row.findings] == []
    assert all(row.holds for row in rows)
    assert sum(row.tried for row in rows) == COUNT


@pytest.mark.parametrize("frames", [json_frames, socketio_frames])
def test_the_same_seed_makes_the_same_frames(
    frames: Callable[[Random, World], Iterator[bytes]],
) -> None:
    one, same, other = (list(islice(frames(random_of(seed, ""), WORLD), 500)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("cases", [envelopes, handshakes, mapped, polls])
def test_the_same_seed_makes_the_same_requests(cases: Cases) -> None:
    def requests(seed: int) -> list[bytes]:
        # Their beginnings, as some tokens hold the time they were made.
        return [case.shown[:40] for case in islice(cases(random_of(seed, ""), WORLD), 500)]

    assert requests(1) == requests(1)
    assert requests(1) != requests(2)


INVALID = b'"data":{"ok":false,"outcome":"invalid","field":"event","message":"event is missing"}'


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"{}", b'{"event":"ack",%b}' % INVALID),
        (b'{"id":7}', b'{"event":"ack",%b,"id":7}' % INVALID),
        (b'427["x"]', b'437[{"ok":false,"outcome":"invalid","field":"x","message":"no x"}]'),
        (b'427\r\n["x"]', b'437[{"ok":false,"outcome":"invalid","field":"x","message":"no x"}]'),
        (b'42/?y,07 ["x"]', b'437[{"ok":false,"outcome":"invalid","field":"x","message":"no x"}]'),
        (
            b'42\t["x"]',
            b'42["call:error",{"ok":false,"outcome":"invalid","field":"x","message":"x"}]',
        ),
        (b"2probe", b"3probe"),
        (b"42[", b"6"),
        (b'40{"token":7}', b'44{"message":"the token is not valid"}'),
        (b"40", b'{"message":"reconnect"}'),
    ],
)
def test_an_answer_that_says_what_is_wrong_is_right(frame: bytes, answer: bytes) -> None:
    assert wrong_with_frame(frame, answer, Sender.UNKNOWN) is None


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"{}", b""),
        (b"{}", b"6"),
        (b"{}", b'{"event":"ack","data":{"ok":true,"outcome":"cancelled"}}'),
        (b"{}", b'{"event":"ack","data":{"ok":false,"outcome":"unavailable"}}'),
        (b"{}", b'{"event":"ack","data":{"ok":false,"outcome":"invalid"}}'),
        (b"{}", b'{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'),
        (b'{"id":7}', b'{"event":"ack",%b}' % INVALID),
        (b'{"id":7}', b'{"event":"ack",%b,"id":8}' % INVALID),
        (b"42[", b""),
        (b"42[", b'{"event":"ack",%b}' % INVALID),
        (b'427["x"]', b"6"),
        (b'427\r\n["x"]', b"6"),
        (b'42["x"]', b"6"),
        (b"42[", b'42["call:error",{"ok":false,"outcome":"invalid","field":"x","message":"x"}]'),
        (b'427["x"]', b'438[{"ok":false,"outcome":"invalid","field":"x","message":"no x"}]'),
        (b'427["x"]', b'437[{"ok":true,"outcome":"cancelled"}]'),
        (b'42["x"]', b'42["call:cancelled",{}]'),
        (b"2probe", b"3"),
        (b"40", b"44{}"),
        (b"40", b'40{"sid":"x"}'),
    ],
)
def test_an_answer_without_a_reason_or_of_something_done_is_wrong(
    frame: bytes, answer: bytes
) -> None:
    assert wrong_with_frame(frame, answer, Sender.UNKNOWN) is not None


def test_a_session_that_ends_by_a_frame_is_wrong() -> None:
    reconnect = b'{"message":"reconnect"}'
    assert wrong_with_frame(b"40", reconnect, Sender.UNKNOWN) is None
    assert wrong_with_frame(b"40", reconnect, Sender.STRANGER) is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_delivery_that_can_be_read_tells_nobody_who_is_there(seed: int) -> None:
    deliveries = islice(envelopes(random_of(seed, ""), WORLD), 3_000)
    events = [case.event for case in deliveries if isinstance(case.event, CallEvent)]
    told = {user for event in events for user in event.users}
    assert WORLD.absent in told
    assert told.isdisjoint({WORLD.caller, WORLD.receiver, WORLD.stranger})


EXPIRED = CallEvent(
    signal_id=SignalId("1"),
    call_id=CallId("CALL_1"),
    status=Status.CANCELLED,
    previous_status=Status.RINGING,
    caller_id=UserId("USR_3"),
    receiver_id=UserId("USR_4"),
    by=UserId("USR_3"),
    recipients=(
        Recipient(UserId("USR_4"), "call:cancelled", (Status.CANCELLED,), Push("call_cancelled")),
    ),
    reason="",
    timestamp=0,
    expires_at_ms=0,
)
ACCEPTED = msgspec.structs.replace(
    EXPIRED, recipients=(Recipient(UserId("USR_4"), "call:accepted", (Status.ACCEPTED,)),)
)


@pytest.mark.parametrize(
    ("function", "event", "messages", "is_right"),
    [
        ("deliver", None, ["malformed delivery"], True),
        ("deliver", None, [], False),
        ("deliver", None, ["expired"], False),
        ("deliver", EXPIRED, ["expired"], True),
        ("deliver", EXPIRED, ["will be retried", "delivered"], True),
        ("deliver", EXPIRED, ["malformed delivery"], False),
        ("deliver", EXPIRED, [], False),
        ("push", None, [], False),
        ("push", EXPIRED, ["expired"], True),
        ("push", EXPIRED, ["no longer true"], True),
        ("push", EXPIRED, [], False),
        ("push", ACCEPTED, [], True),
        ("push", ACCEPTED, ["malformed delivery"], False),
    ],
)
def test_a_subscriber_says_what_became_of_a_delivery(
    function: str, event: CallEvent | None, messages: list[str], is_right: bool
) -> None:
    assert (wrong_with_lines(function, event, messages) is None) is is_right


def test_of_a_log_only_whole_lines_are_read_each_once(tmp_path: Path) -> None:
    for function in FUNCTIONS:
        (tmp_path / f"{function}.log").write_text('{"message":"before"}\n')
    with Logs(tmp_path).tail("push") as tail, (tmp_path / "push.log").open("a") as log:
        for text, read in (
            ("", []),
            ('{"message":"one"}\n{"message":', ["one"]),
            ('"two"}\n', ["two"]),
        ):
            log.write(text)
            log.flush()
            assert tail.messages() == read


TIMEOUT = "functions.services.remote.StoreUnavailable: DeadlineExceeded: 504 Deadline Exceeded"
NO_ID = "functions.services.remote.StoreUnavailable: InvalidArgument: 400 DeadlineExceeded: no id"


@pytest.mark.parametrize(("reason", "is_excused"), [(TIMEOUT, True), (NO_ID, False)])
def test_a_traceback_is_excused_only_if_firestore_was_too_slow(
    tmp_path: Path, reason: str, is_excused: bool
) -> None:
    for function in FUNCTIONS:
        (tmp_path / f"{function}.log").touch()
    logs = Logs(tmp_path)
    line = {
        "severity": "ERROR",
        "message": "disconnect",
        "time": "now",
        "connectionId": "1",
        "exception": f"Traceback (most recent call last):\n  …\n{reason}",
    }
    (tmp_path / "gateway.log").write_text(f"{json.dumps(line)}\n")
    assert (logs.offences("WRITTEN-BY-A-CLIENT") == []) is is_excused
    assert logs.unfinished() == ({f"{CONNECTIONS}/1"} if is_excused else set())


@pytest.mark.parametrize(
    ("fields", "is_an_end"),
    [
        ({"wire": "eio4", "closedAt": 1}, True),
        ({"wire": "eio4", "closedAt": 1, "userId": "USR_3"}, True),
        ({"wire": "eio4", "closedAt": 1, "userId": "USR_1"}, False),
        ({"wire": "eio4", "userId": "USR_3"}, False),
    ],
)
def test_a_connection_may_only_leave_that_it_has_ended(
    fields: dict[str, object], is_an_end: bool
) -> None:
    after: Documents = {"connections/1": (1, fields), "calls/1": (1, {})}
    before = {"calls/1": after["calls/1"]}
    assert (changes(before, after, {"connections/1": "USR_3"}) == []) is is_an_end
    assert changes(before, after, {}) != []
    assert changes(before, {}, {"connections/1": None}) == ["calls/1 vanished"]


@pytest.mark.parametrize("shift", range(3))
def test_what_a_client_wrote_is_found_in_a_token_too(shift: int) -> None:
    token = base64.b64encode(b"x" * shift + WORLD.marker.encode() + b"and more").decode()
    assert any(trace in token for trace in traces_of(WORLD.marker))
