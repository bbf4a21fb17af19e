"""The model of the cloud's distances: what it is made of, and how its parts are put together."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest

from infra.bench import model
from infra.bench.model import (
    CPU,
    SERVICES,
    Basis,
    Bracket,
    Figures,
    Own,
    Part,
    Services,
    Step,
    Way,
    at_once,
    brackets,
    drawn,
    in_turn,
    steps,
)

GET = Step("get", 10, 40, Basis.ASSUMED, "a guess")


def names(part: Part) -> list[str]:
    return [step.name for step in steps(part)]


def remote(part: Part) -> list[str]:
    """The remote calls of a part, without the distances between."""
    known = {getattr(SERVICES, field.name).name for field in fields(Services)}
    return [name for name in names(part) if name in known]


def ways(bracket: Bracket) -> Sequence[Way]:
    ours, plain, peer = bracket.ways
    return ours, plain, peer


@pytest.fixture(params=brackets(), ids=lambda bracket: str(bracket.name))
def bracket(request: pytest.FixtureRequest) -> Bracket:
    chosen: Bracket = request.param
    return chosen


def test_a_log_normal_has_the_p50_and_p99_that_it_was_made_of() -> None:
    assert GET.at(0.5) == pytest.approx(10)
    assert GET.at(0.99) == pytest.approx(40)


def test_so_has_what_is_drawn_of_it() -> None:
    figures = Figures.of(drawn(GET, 50_000))
    assert figures.p50 == pytest.approx(10, rel=0.02)
    assert figures.p99 == pytest.approx(40, rel=0.05)


def test_half_a_distance_takes_half_as_long_at_every_share() -> None:
    half = GET.times(0.5)
    for share in (0.01, 0.5, 0.9, 0.999):
        assert half.at(share) == pytest.approx(GET.at(share) / 2)


def test_what_waits_for_two_calls_at_once_takes_as_long_as_the_longer() -> None:
    assert drawn(at_once(Own(3), Own(5)), count=2) == [5, 5]
    both = drawn(at_once(GET, Own(10)), count=1_000)
    assert min(both) == 10
    assert max(both) > 10


def test_what_waits_for_one_call_after_the_other_takes_as_long_as_both() -> None:
    assert drawn(in_turn(Own(3), Own(5), at_once(Own(1), Own(2))), count=2) == [10, 10]


def test_each_step_of_a_kind_is_drawn_for_itself() -> None:
    once, twice = drawn(GET, 1_000), drawn(in_turn(GET, GET), 1_000)
    assert twice != [2 * time for time in once]
    assert len(set(twice)) == 1_000


def test_the_same_seed_gives_the_same_times_and_another_one_gives_others() -> None:
    assert drawn(GET, 10, seed=7) == drawn(GET, 10, seed=7) != drawn(GET, 10, seed=8)


def test_a_share_within_the_promise_counts_what_takes_just_as_long() -> None:
    assert Figures.of([99.0, 100.0, 100.1, 300.0]).within_promise == 0.5


def test_what_cpu_is_saved_is_saved_at_every_share(bracket: Bracket) -> None:
    saved = replace(CPU, gateway=CPU.gateway - 2)
    (less,) = [each for each in brackets(saved) if each.name == bracket.name]
    before, after = drawn(bracket.ways[0].told, 100), drawn(less.ways[0].told, 100)
    assert [round(a - b, 6) for a, b in zip(before, after, strict=True)] == [2] * 100


def test_our_way_waits_for_the_calls_of_the_budget(bracket: Bracket) -> None:
    ours, *_ = ways(bracket)
    arrived = ["API Gateway, each way", "Cloud Run's front end"]
    told = [*arrived, "BatchGetDocuments", "Commit", "RunQuery", "POST @connections"]
    assert remote(ours.told) == told
    assert ours.answered is not None
    assert remote(ours.answered) == [*told, "Publish, until confirmed", "API Gateway, each way"]
    pushed = ["from the publish to the pushed function", "RunQuery", "FCM takes a message"]
    assert remote(ours.pushed) == [*told, *pushed]


def test_the_chain_waits_for_another_function_to_look_up_and_post(bracket: Bracket) -> None:
    _, plain, _ = ways(bracket)
    committed = ["API Gateway, each way", "Cloud Run's front end", "BatchGetDocuments", "Commit"]
    called = "from the publish to the pushed function"
    assert remote(plain.told) == [*committed, called, "RunQuery", "POST @connections"]
    assert plain.answered is not None
    confirmed = ["Publish, until confirmed", "API Gateway, each way"]
    assert remote(plain.answered) == [*committed, *confirmed]
    assert remote(plain.pushed) == [*committed, called, "RunQuery", "FCM takes a message"]


def test_the_peer_writes_reads_and_emits_as_the_request_has_it(bracket: Bracket) -> None:
    *_, peer = ways(bracket)
    stored = ["Cloud Run's front end", "Commit", "BatchGetDocuments"]
    assert remote(peer.told) == stored
    assert peer.answered is None
    assert remote(peer.pushed) == [*stored, "BatchGetDocuments", "FCM takes a message"]


def test_our_commit_and_query_are_at_once_and_nothing_else_is(bracket: Bracket) -> None:
    def pairs(part: Part) -> list[list[str]]:
        match part:
            case model.AtOnce():
                return [names(part)]
            case model.InTurn():
                return [pair for each in part.parts for pair in pairs(each)]
            case _:
                return []

    ours, plain, peer = ways(bracket)
    assert pairs(ours.told) == [["Commit", "RunQuery"]]
    assert pairs(plain.told) == pairs(peer.told) == []


def test_a_frame_and_its_event_cross_to_the_phones_and_between_the_clouds_once_each(
    bracket: Bracket,
) -> None:
    ours, plain, peer = ways(bracket)
    phone, clouds = bracket.distances.phone, bracket.distances.clouds
    for way in (ours, plain):
        assert steps(way.told).count(phone.times(0.5)) == 2
        assert steps(way.told).count(clouds.times(0.5)) == 2
    assert steps(peer.told).count(phone.times(0.5)) == 2
    assert clouds.name not in names(peer.told)


def test_the_chain_tells_the_receiver_later_than_the_function_that_posts_itself(
    bracket: Bracket,
) -> None:
    ours, plain, _ = ways(bracket)
    direct, chained = Figures.of(drawn(ours.told)), Figures.of(drawn(plain.told))
    assert direct.p50 < chained.p50
    assert direct.p99 < chained.p99


def test_a_request_waits_for_all_that_its_function_calls(bracket: Bracket) -> None:
    requests = bracket.requests
    stored = ["BatchGetDocuments", "Commit", "RunQuery"]
    told = ["POST @connections", "Publish, until confirmed"]
    assert remote(requests.gateway) == [*stored, *told]
    assert remote(requests.deliver) == ["RunQuery", "Commit"]
    assert remote(requests.push) == ["RunQuery", "FCM takes a message"]


def test_who_is_farther_away_is_told_later() -> None:
    near, usual, far = (Figures.of(drawn(each.ways[0].told)).p50 for each in brackets())
    assert near < usual < far


def test_every_step_says_where_its_figures_are_from() -> None:
    used = {step for each in brackets() for way in each.ways for step in steps(way.pushed)}
    for step in used | {getattr(SERVICES, field.name) for field in fields(Services)}:
        is_found = step.basis in (Basis.PUBLISHED, Basis.MEASURED)
        assert step.source
        assert not is_found or "https://" in step.source or "there too" in step.source, step.name


def test_another_figure_for_a_step_is_used_and_is_said_to_be_given() -> None:
    (change,) = [model._given("get=1/2")]
    changed = change(SERVICES).get
    assert (changed.p50, changed.p99, changed.basis) == (1, 2, Basis.ASSUMED)
    faster, usual = brackets(services=change(SERVICES))[0], brackets()[0]
    assert sum(drawn(faster.ways[0].told, 100)) < sum(drawn(usual.ways[0].told, 100))


@pytest.mark.parametrize("text", ["got=1/2", "get=1", "get=2/1", "get=0/1", "get=a/b", "get"])
def test_a_figure_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        model._given(text)
