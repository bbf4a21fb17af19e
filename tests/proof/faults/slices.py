"""What of the faults is played with every `make test`: one case of each kind."""

from collections import defaultdict
from itertools import chain

from infra.client.flows import CANCEL, REJECT, Flow
from tests.proof.faults import people
from tests.proof.faults.case import Case, Deed, Harm, networked
from tests.proof.faults.points import API, DELIVER, GATEWAY, PUSH, SWEEP_PUBLISH, WEBHOOK
from tests.proof.faults.ringing.flows import ACCEPT, GONE, INITIATE, TIME_OUT
from tests.proof.faults.ringing.points import CHECKED, CLOSE, END, SCHEDULE, TASK

_BOTH = (Harm.KILLED_BEFORE, Harm.KILLED_AFTER)
_DEATHS = {
    "gateway": (CANCEL, GATEWAY[1], _BOTH),
    "api": (CANCEL, API[4], _BOTH),
    "deliver": (REJECT, DELIVER[2], _BOTH),
    "push": (CANCEL, PUSH[1], _BOTH),
    "webhook": (CANCEL, WEBHOOK[0], _BOTH),
    "ring": (TIME_OUT, END[1], _BOTH),
    "sweep": (REJECT, SWEEP_PUBLISH, (Harm.KILLED_BEFORE,)),  # it makes its calls in turn
}

_RINGS = (
    Case(TIME_OUT, TASK, Harm.HANGS),
    Case(TIME_OUT, deed=Deed.RINGS_AGAIN),
    Case(TIME_OUT, END[1], Harm.REPLY_LOST),
    Case(GONE, CLOSE[1], Harm.FAILS),
    Case(GONE, CHECKED[1], Harm.FAILS),
    Case(INITIATE, SCHEDULE, Harm.REPLY_LOST),
    Case(ACCEPT, DELIVER[1], Harm.FAILS),
)


def networked_slice() -> list[Case]:
    """A case for each row of the table: by turns a cancel and a reject, and each at another point
    of the path where there are several; and some of a ring, those that wait longest in front."""
    pairs = zip(_kinds(CANCEL), _kinds(REJECT), strict=True)
    chosen = [pair[number % 2] for number, pair in enumerate(pairs)]
    cases = [kind[number % len(kind)] for number, kind in enumerate(chosen)]
    # What waits for the sweep takes longest, and so begins first.
    cases.sort(key=lambda case: case.point is None or case.point.function != "sweep")
    return [*_RINGS, *cases]


def killed_slice(function: str) -> list[Case]:
    """Cases that die together when `function` is killed."""
    flow, point, harms = _DEATHS[function]
    return [Case(flow, point, harm) for harm in harms]


def _kinds(flow: Flow) -> list[list[Case]]:
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in chain(networked(flow), people.networked(flow)):
        kinds[case.fault].append(case)
    return list(kinds.values())
