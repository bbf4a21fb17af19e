"""What of the handshake is played with `make thorough`: one case of each kind of fault."""

from collections import defaultdict

from tests.proof.handshake.case import PYTHON, Case, Passing, cases


def one_of_each(*, has_node: bool) -> list[Case]:
    """Each of another client and at another step, as far as there are some. None at the handshake
    itself, whose function would have to die once more for it."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in cases():
        is_alone = case.step.passing is Passing.OPEN and case.harm.strikes
        if not is_alone and (has_node or case.kind == PYTHON):
            kinds[case.fault].append(case)
    return [each[number * 7 % len(each)] for number, each in enumerate(kinds.values())]
