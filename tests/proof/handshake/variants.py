"""The polling system with one safeguard taken out each: this proof must see that it is missing."""

from collections.abc import Awaitable, Callable

import httpx
from websockets.exceptions import InvalidStatus

from infra.local.stack import Stack
from tests.proof.faults.variant import Variant
from tests.proof.handshake.case import POLL_ON, UPGRADE, Case, Harm
from tests.proof.handshake.run import PART, run
from tests.proof.table import Row
from tests.support.pollers import begun

_PATIENCE_SECONDS = 8.0  # what is lost never comes


def _case(case: Case) -> Callable[[Stack], Awaitable[list[Row]]]:
    async def play(stack: Stack) -> list[Row]:
        return await run(stack, [case], _PATIENCE_SECONDS)

    return play


async def _intrude(stack: Stack) -> list[Row]:
    """By what is no secret of a session, and a key of one's own making."""
    row = Row(PART, "a socket with another key", tried=1)
    async with httpx.AsyncClient(base_url=stack.socketio, trust_env=False) as http:
        poller = await begun(stack, http)
        try:
            async with poller.but(sid=f"{poller.id}.{'a' * 32}").socket():
                row.findings = ["it was let in"]
        except InvalidStatus:
            row.findings = []
    row.wrong = len(row.findings)
    return [row]


VARIANTS = (
    Variant(
        "upgrade-forgets-what-waits",
        ("gateway",),
        _case(Case("js-4", UPGRADE, Harm.WAITS, "gateway")),
        "the client was never told",
    ),
    Variant(
        "a-poll-keeps-what-it-gave",
        ("api",),
        _case(Case("python", POLL_ON, Harm.WAITS, "api", websockets=False)),
        "the client was told call:cancelled",
    ),
    Variant("any-key-opens-a-session", ("api", "gateway"), _intrude, "it was let in"),
)
