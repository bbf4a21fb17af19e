"""A quick slice of the faults in a handshake; `python -m tests.proof` plays all."""

from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.proof.faults import variant
from tests.proof.faults.logs import tracebacks
from tests.proof.handshake.run import run
from tests.proof.handshake.slices import one_of_each
from tests.proof.handshake.variants import VARIANTS

pytestmark = pytest.mark.thorough


@pytest.mark.timeout(600)  # on a busy machine a case is played up to three times
async def test_when_a_function_dies_its_clients_are_connected_and_nothing_is_lost_or_done_twice(
    stack: Stack, node_missing: str | None
) -> None:
    rows = await run(stack, one_of_each(has_node=node_missing is None))
    assert [finding for row in rows for finding in row.findings] == []


async def test_the_proof_sees_that_any_key_opens_a_session(stack: Stack, tmp_path: Path) -> None:
    (soonest,) = [each for each in VARIANTS if each.name == "any-key-opens-a-session"]
    assert (await variant.run(stack, soonest, tmp_path)).findings == []


def test_no_function_met_what_it_did_not_expect(stack: Stack) -> None:
    # The last of this module: the logs are those of all before.
    assert tracebacks(stack).findings == []
