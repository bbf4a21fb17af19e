"""Where the backend pushes: it is asked at least once, or not at all when the event has expired."""

from dataclasses import replace
from pathlib import Path

from infra.client.flows import CANCEL
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Options, Stack
from tests.proof.faults import matrix
from tests.proof.faults.case import Case, Harm
from tests.proof.faults.deadletters import dead_letters
from tests.proof.faults.ends import expired, shorten, until_over
from tests.proof.faults.points import WANTED, WEBHOOK_PATHS
from tests.proof.faults.staging import Stage
from tests.proof.table import Row

PART = "pushes of the backend"


def options(logs: Path) -> Options:
    """The matrix's stack, whose `call_cancelled` the backend pushes."""
    usual = matrix.options(logs)
    return replace(usual, settings={**usual.settings, "PUSH_CANCELLED": "backend"})


async def run(stack: Stack) -> list[Row]:
    """All of it, on a stack of `options`."""
    cases = [Case(CANCEL, point, harm) for point in WANTED for harm in Harm]
    played = await matrix.run_networked(stack, [case for case in cases if not _kills(case)])
    groups = [[case for case in cases if _kills(case)]]
    played += await matrix.run_killed(stack, "webhook", groups)
    rows = [replace(row, part=PART) for row in matrix.rows_of(played)]
    return [*rows, await never_late(stack)]


def _kills(case: Case) -> bool:
    return isinstance(case.harm, Harm) and case.harm.kills


async def never_late(stack: Stack) -> Row:
    """A backend that takes nothing until the event has expired is not asked any more, and there is
    no dead letter."""
    row = Row(PART, "a backend takes no push.wanted until it has expired", tried=1)
    async with Stage(stack) as stage:
        (play,) = await stage.set_up(Case(CANCEL))
        call = play.cast.call
        await shorten(stack, call)
        refusal = Fault(
            Kind.FAIL, "webhook.POST", (f"{WEBHOOK_PATHS[0]} ", "push.wanted", call), times=None
        )
        with stack.faults.during(refusal):
            await play.sender.emit(CANCEL.signal, callId=call)
            await until_over(stack, call)  # `webhook` has acknowledged it
        assert stack.backend is not None
        wanted = [each for each in stack.backend.about(call) if each.type == "push.wanted"]
        dead = (await dead_letters(stack)).get(call)
    checks = {
        "it was not refused": refusal.reached.is_set(),
        "the backend was asked when it was too late": not wanted,
        "webhook does not say that it expired": "webhook" in expired(stack, call),
        f"dead letters of {dead}": not dead,
    }
    row.findings = [text for text, holds in checks.items() if not holds]
    row.wrong = bool(row.findings)
    return row
