"""What of the faults is played with every `make test`: one case of each kind."""

from collections import defaultdict
from itertools import chain

from infra.client.flows import CANCEL, REJECT, Flow
from tests.proof.faults import people
from tests.proof.faults.case import Case, Harm, networked
from tests.proof.faults.points import API, DELIVER, GATEWAY, PUSH, SWEEP_PUBLISH, WEBHOOK

_BOTH = (Harm.KILLED_BEFORE, Harm.KILLED_AFTER)
_DEATHS = {
    "gateway": (CANCEL, GATEWAY[1], _BOTH),
    "api": (CANCEL, API[4], _BOTH),
    "deliver": (REJECT, DELIVER[2], _BOTH),
    "push": (CANCEL, PUSH[1], _BOTH),
    "webhook": (CANCEL, WEBHOOK[0], _BOTH),
    "sweep": (REJECT, SWEEP_PUBLISH, (Harm.KILLED_BEFORE,)),  # it makes its calls in turn
}


def networked_slice() -> list[Case]:
    """A case for each row of the table: by turns a cancel and a reject, and each at another point
    of the path where there are several."""
    pairs = zip(_kinds(CANCEL), _kinds(REJECT), strict=True)
    chosen = [pair[number % 2] for number, pair in enumerate(pairs)]
    cases = [kind[number % len(kind)] for number, kind in enumerate(chosen)]
    # What waits for the sweep takes longest, and so begins first.
    return sorted(cases, key=lambda case: case.point is None or case.point.function != "sweep")


def killed_slice(function: str) -> list[Case]:
    """Cases that die together when `function` is killed."""
    flow, point, harms = _DEATHS[function]
    return [Case(flow, point, harm) for harm in harms]


def _kinds(flow: Flow) -> list[list[Case]]:
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in chain(networked(flow), people.networked(flow)):
        kinds[case.fault].append(case)
    return list(kinds.values())
