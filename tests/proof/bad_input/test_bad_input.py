"""Whatever anybody sends to the functions is answered with a reason, and does nothing."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from random import Random

import pytest

from infra.local.stack import Stack, running
from tests.proof.bad_input.case import Cases, World, random_of, traces_of
from tests.proof.bad_input.envelopes import envelopes
from tests.proof.bad_input.frames import (
    Sender,
    json_frames,
    socketio_frames,
    wrong_with_frame,
)
from tests.proof.bad_input.requests import handshakes, mapped
from tests.proof.bad_input.run import run
from tests.support.stacks import options

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

COUNT = 33_000  # the whole proof sends 100,000


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One of its own, as nothing else may happen on it meanwhile."""
    async with running(options(tmp_path_factory)) as made:
        yield made


@pytest.mark.timeout(900)
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


@pytest.mark.parametrize("cases", [envelopes, handshakes, mapped])
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


@pytest.mark.parametrize("shift", range(3))
def test_what_a_client_wrote_is_found_in_a_token_too(shift: int) -> None:
    token = base64.b64encode(b"x" * shift + WORLD.marker.encode() + b"and more").decode()
    assert any(trace in token for trace in traces_of(WORLD.marker))
