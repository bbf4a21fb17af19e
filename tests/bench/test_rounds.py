"""The comparison's figures: what is counted, from when, and beside what."""

from collections.abc import Sequence
from random import Random
from statistics import mean

import pytest

from infra.bench.arrivals import poisson
from infra.bench.generator import Played, Timing
from infra.bench.model import CPU, Cpu
from infra.bench.report import PEER, UNRING, compared, cpu_of
from infra.bench.rounds import ANSWERED, PUSHED, TOLD, Round, Spread, in_all, round_of


def played(*timings: Timing, **cpu: float) -> Played:
    return Played(timings, cpu or {"gateway": 0.004})


def test_cancels_come_at_the_rate_and_independently_of_each_other() -> None:
    moments = poisson(20, 10_000, Random(1))  # noqa: S311 - moments are no secret
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(500, rel=0.05)
    gaps = [after - before for before, after in zip([0.0, *moments], moments, strict=False)]
    # In a tenth of the mean gap as many come as are independent, and not at even distances.
    assert mean(gap < 0.005 for gap in gaps) == pytest.approx(0.095, abs=0.01)


def test_a_latency_counts_from_when_the_cancel_was_due() -> None:
    timings = Timing("A", due=10.0, told=10.007, answered=10.011)
    result = round_of(played(timings), {"A": 10.015})
    found = [result.latency(what, 50) for what in (TOLD, ANSWERED, PUSHED)]
    assert found == pytest.approx([7, 11, 15], rel=0.001)
    assert result.lost == 0


@pytest.mark.parametrize(
    ("timing", "pushed"),
    [
        (Timing("A", 1.0, None, 1.1), {"A": 1.2}),
        (Timing("A", 1.0, 1.1, None), {"A": 1.2}),
        (Timing("A", 1.0, 1.1, 1.1), {}),
    ],
    ids=["not told", "not answered", "not pushed"],
)
def test_what_never_came_is_lost_and_no_latency(timing: Timing, pushed: dict[str, float]) -> None:
    there = Timing("B", 1.0, 1.1, 1.1)
    result = round_of(played(timing, there), {"B": 1.2, **pushed})
    assert result.lost == 1
    counts = [each.get_total_count() for each in result.latencies.values()]
    assert sorted(counts) == [1, 2, 2]


def test_what_came_to_nobody_has_no_latency_and_no_ratio() -> None:
    never = [round_of(played(Timing("A", 1.0, None, 1.1), node=0.004), {"A": 1.2})]
    table = compared({UNRING: rounds(10), PEER: never})
    (told,) = [row for row in table.rows if row[0] == "until told, p50"]
    assert told[2:] == ("never", "")


def test_cpu_is_of_each_process_for_one_cancel() -> None:
    timings = [Timing(str(number), 0.0, 0.1, 0.1) for number in range(4)]
    result = round_of(played(*timings, gateway=0.02, push=0.01), {})
    assert result.cpu == {"gateway": 5.0, "push": 2.5}
    assert result.cpu_in_all == 7.5


def test_a_spread_is_a_median_and_what_it_lies_between() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)


def rounds(*milliseconds: float, name: str = "gateway") -> Sequence[Round]:
    return [
        round_of(
            played(Timing("A", 0.0, each / 1000, each / 1000), **{name: each / 1000}),
            {"A": each / 1000},
        )
        for each in milliseconds
    ]


def test_all_rounds_together_have_the_latencies_of_each() -> None:
    together = in_all(rounds(1, 2, 3), TOLD)
    assert together.get_total_count() == 3
    assert together.get_value_at_percentile(100) == pytest.approx(3000, rel=0.001)


def test_the_ratio_is_of_the_two_servers_in_the_same_round() -> None:
    # A machine that was busy for a round was so for both.
    table = compared({UNRING: rounds(10, 40, 10), PEER: rounds(20, 80, 20, name="node")})
    (cpu,) = [row for row in table.rows if row[0] == "CPU in all"]
    assert cpu[1:] == ("10.0 (10.0 to 40.0)", "20.0 (20.0 to 80.0)", "0.50 (0.50 to 0.50)")


def test_without_the_peer_there_is_no_ratio() -> None:
    table = compared({UNRING: rounds(10)})
    assert list(table.columns) == ["", UNRING]
    assert all(len(row) == 2 for row in table.rows)


def test_the_models_reckon_with_the_median_of_each_process() -> None:
    timing = Timing("A", 0.0, 0.1, 0.1)
    ours = [
        round_of(played(timing, gateway=each, deliver=2 * each, push=3 * each), {})
        for each in (0.001, 0.00204, 0.009)
    ]
    theirs = rounds(5, 7, 6, name="node")
    assert cpu_of({UNRING: ours, PEER: theirs}) == Cpu(2.0, 4.1, 6.1, 6.0)
    assert cpu_of({UNRING: ours}) == Cpu(2.0, 4.1, 6.1, CPU.peer)
