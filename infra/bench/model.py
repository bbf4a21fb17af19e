"""How the cloud's distances add to what is measured on one machine: a model of one cancel's way.

    python -m infra.bench.model --gateway-ms 4.6 --deliver-ms 2.7 --push-ms 3.6 --peer-ms 7.0

Every remote step is a log-normal distribution, made of a p50 and a p99. They are put together as
the code waits for them, and drawn many times over (Monte Carlo). The steps count as independent of
each other, and warm: no cold start is in it, nor a queue, nor a retry.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import partial
from random import Random
from statistics import NormalDist

from infra.bench.tables import Table, add_forms, put_out

PROMISE_MS = 100.0
_DRAWS = 20_000
_SEED = 1

_NORMAL = NormalDist()
_Z99 = _NORMAL.inv_cdf(0.99)


class Basis(Enum):
    """How sure a figure is."""

    PUBLISHED = "published"  # by whoever runs the service
    MEASURED = "measured"  # by others, who published it
    UNTRACED = "untraced"  # the design has it as published, but its source was not found again
    ASSUMED = "assumed"  # nobody was found to have published one


@dataclass(frozen=True)
class Step:
    """A remote step: how long it takes in milliseconds, and how that is known."""

    name: str
    p50: float
    p99: float
    basis: Basis
    source: str

    def at(self, share: float) -> float:
        """The time within which this share of the steps is done, strictly between 0 and 1."""
        spread = math.log(self.p99 / self.p50) / _Z99
        return self.p50 * math.exp(spread * _NORMAL.inv_cdf(share))

    def times(self, factor: float) -> "Step":
        """One that takes so many times as long."""
        return replace(self, p50=self.p50 * factor, p99=self.p99 * factor)


@dataclass(frozen=True)
class Own:
    """Work of our own, in milliseconds, as the benchmark has measured it."""

    ms: float


@dataclass(frozen=True)
class InTurn:
    """Parts that wait for each other."""

    parts: "tuple[Part, ...]"


@dataclass(frozen=True)
class AtOnce:
    """Parts that begin together; what comes next waits for all of them."""

    parts: "tuple[Part, ...]"


Part = Step | Own | InTurn | AtOnce


def in_turn(*parts: Part) -> InTurn:
    return InTurn(parts)


def at_once(*parts: Part) -> AtOnce:
    return AtOnce(parts)


def drawn(part: Part, count: int = _DRAWS, seed: int = _SEED) -> list[float]:
    """How long `part` takes, `count` times over, in milliseconds; the same for the same seed."""
    return _drawn(part, count, Random(seed))  # noqa: S311 - nobody is to be kept from guessing it


def _drawn(part: Part, count: int, random: Random) -> list[float]:
    match part:
        case Step():
            return [part.at(random.random()) for _ in range(count)]
        case Own():
            return [part.ms] * count
        case InTurn():
            return list(map(sum, _each(part.parts, count, random)))
        case AtOnce():
            return list(map(max, _each(part.parts, count, random)))


def _each(parts: Sequence[Part], count: int, random: Random) -> Iterator[tuple[float, ...]]:
    return zip(*(_drawn(each, count, random) for each in parts), strict=True)


def steps(part: Part) -> list[Step]:
    """The remote steps of a part, in their order."""
    match part:
        case Step():
            return [part]
        case Own():
            return []
        case InTurn() | AtOnce():
            return [step for each in part.parts for step in steps(each)]


@dataclass(frozen=True)
class Figures:
    """What a benchmark would have said."""

    p50: float
    p99: float
    within_promise: float  # the share that took no longer than PROMISE_MS

    @classmethod
    def of(cls, times: Sequence[float]) -> "Figures":
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        within = sum(time <= PROMISE_MS for time in times) / len(times)
        return cls(cuts[49], cuts[98], within)


@dataclass(frozen=True)
class Cpu:
    """The measured CPU of one cancel in each function and in the peer, in milliseconds."""

    gateway: float = 4.6
    deliver: float = 2.7
    push: float = 3.6
    peer: float = 7.0

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Adds an option for each."""
        for field in fields(cls):
            help = f"CPU of one cancel in {field.name}, in milliseconds; {field.default}"
            parser.add_argument(f"--{field.name}-ms", type=float, default=field.default, help=help)

    @classmethod
    def given_by(cls, arguments: argparse.Namespace) -> "Cpu":
        return cls(**{each.name: getattr(arguments, f"{each.name}_ms") for each in fields(cls)})

    def as_options(self) -> list[str]:
        """By which `given_by` gives the same."""
        named = ((f"--{each.name}-ms", f"{getattr(self, each.name):g}") for each in fields(self))
        return [each for option in named for each in option]


CPU = Cpu()


@dataclass(frozen=True)
class Services:
    """What each service takes, without the distance to it."""

    api_gateway: Step = Step(
        "API Gateway, each way",
        5,
        12.5,
        Basis.ASSUMED,
        "half of what REST APIs add at p99, 25 ms, by what AWS says of HTTP APIs: less than 10 ms, "
        "up to 60 % less than REST APIs (https://aws.amazon.com/blogs/compute/"
        "building-better-apis-http-apis-now-generally-available/, 2020). The p50 is a guess",
    )
    cloud_run: Step = Step(
        "Cloud Run's front end",
        3,
        15,
        Basis.ASSUMED,
        "a guess",
    )
    get: Step = Step(
        "BatchGetDocuments",
        9.5,
        40,
        Basis.UNTRACED,
        "others measured 6 to 7 and 20 to 68 ms (https://github.com/BasedHardware/omi/issues/11282,"
        " 2026), 17 and 32 ms (https://github.com/googleapis/nodejs-firestore/issues/1994, 2024)",
    )
    commit: Step = Step(
        "Commit",
        35,
        120,
        Basis.UNTRACED,
        "others measured 24 to 55 ms, ten times over, in Datastore from Cloud Run "
        "(https://github.com/googleapis/google-cloud-dotnet/issues/5333, 2020)",
    )
    query: Step = Step(
        "RunQuery",
        12,
        70,
        Basis.UNTRACED,
        "others measured 14 to 24 ms, there too",
    )
    post: Step = Step(
        "POST @connections",
        10,
        40,
        Basis.UNTRACED,
        "no measurement found. All of it counts, though the phone has the frame before the reply",
    )
    publish: Step = Step(
        "Publish, until confirmed",
        10,
        100,
        Basis.PUBLISHED,
        "between 10 and 100 ms, by Pub/Sub's product manager "
        "(https://github.com/googleapis/nodejs-pubsub/issues/93, 2018)",
    )
    delivery: Step = Step(
        "from the publish to the pushed function",
        28,
        101,
        Basis.UNTRACED,
        "no measurement found",
    )
    fcm: Step = Step(
        "FCM takes a message",
        50,
        300,
        Basis.ASSUMED,
        "a guess",
    )


SERVICES = Services()


@dataclass(frozen=True)
class Distances:
    """Round trips."""

    phone: Step  # from a phone to the nearest of the services that it talks to
    clouds: Step  # between API Gateway and the functions


@dataclass(frozen=True)
class Way:
    """What a cancel goes through, each part from the caller's send."""

    name: str
    told: Part  # until `call:cancelled` is at the receiver's socket
    answered: Part | None  # until the caller has the verdict; None without one
    pushed: Part  # until FCM has taken the message


@dataclass(frozen=True)
class Requests:
    """What one cancel is in each function, from the request to the reply."""

    gateway: Part
    deliver: Part
    push: Part


@dataclass(frozen=True)
class Bracket:
    """One place for the phones and the clouds to be, and the ways of a cancel there."""

    name: str
    where: str
    distances: Distances
    ways: tuple[Way, ...]
    requests: Requests


_IBM = (
    "_include-segments/network-latency.md in https://github.com/ibm-cloud-docs/vpc, September 2024"
)
_OPENSIGNAL = (
    "https://www.opensignal.com/2019/05/31/state-of-mobile-usa-quantifying-the-bar-for-5g-to-beat"
)
_ONE_METRO = Step(
    "between the clouds, there and back, in one metropolis",
    2.2,
    5,
    Basis.MEASURED,
    f"of another cloud: 1.7 to 2.4 ms on average between its zones ({_IBM}). The p99 is a guess",
)
_NEIGHBOURS = Step(
    "between the clouds, there and back, in neighbouring regions",
    13,
    20,
    Basis.MEASURED,
    "of another cloud: 13 ms on average from London to Frankfurt, there too. The p99 is a guess",
)
_PLACES = (
    (
        "near",
        "phones on Wi-Fi in the metropolis of both clouds, which is where the defaults put them",
        Distances(
            phone=Step(
                "to a phone near by, there and back", 15, 40, Basis.ASSUMED, "a guess: home Wi-Fi"
            ),
            clouds=_ONE_METRO,
        ),
    ),
    (
        "usual",
        "phones on a mobile network, the clouds in neighbouring regions",
        Distances(
            phone=Step(
                "to a phone on a mobile network, there and back",
                50,
                200,
                Basis.MEASURED,
                f"44 to 66 ms on average in the USA ({_OPENSIGNAL}). The p99 is a guess",
            ),
            clouds=_NEIGHBOURS,
        ),
    ),
    (
        "far",
        "both phones on mobile networks of another continent",
        Distances(
            phone=Step(
                "to a phone of another continent, there and back",
                150,
                400,
                Basis.ASSUMED,
                "91 ms on average from Washington to Frankfurt, as above, and 60 of the mobile "
                "network. The p99 is a guess",
            ),
            clouds=_NEIGHBOURS,
        ),
    ),
)


def brackets(cpu: Cpu = CPU, services: Services = SERVICES) -> tuple[Bracket, ...]:
    """The three brackets, each with our way, the plain chain and the peer."""
    return tuple(
        Bracket(
            name,
            where,
            distances,
            ways=(
                _ours(services, distances, cpu),
                _plain(services, distances, cpu),
                _peer(services, distances, cpu),
            ),
            requests=_requests(services, distances, cpu),
        )
        for name, where, distances in _PLACES
    )


def _ours(services: Services, distances: Distances, cpu: Cpu) -> Way:
    """The function that commits posts as soon as the commit holds, and then publishes."""
    to_phone, to_cloud = distances.phone.times(0.5), distances.clouds.times(0.5)
    committed = in_turn(
        _arrived(services, distances),
        Own(cpu.gateway),
        services.get,
        at_once(services.commit, services.query),
    )
    posted = in_turn(committed, distances.clouds, services.post)
    return Way(
        "Unring",
        told=in_turn(committed, to_cloud, services.post, to_phone),
        answered=in_turn(posted, services.publish, to_cloud, services.api_gateway, to_phone),
        pushed=in_turn(posted, services.delivery, Own(cpu.push), services.query, services.fcm),
    )


def _plain(services: Services, distances: Distances, cpu: Cpu) -> Way:
    """The function that commits publishes, and another one posts."""
    to_phone, to_cloud = distances.phone.times(0.5), distances.clouds.times(0.5)
    committed = in_turn(
        _arrived(services, distances), Own(cpu.gateway), services.get, services.commit
    )
    delivered = in_turn(committed, services.delivery, Own(cpu.deliver), services.query)
    return Way(
        "the plain chain",
        told=in_turn(delivered, to_cloud, services.post, to_phone),
        answered=in_turn(committed, services.publish, to_cloud, services.api_gateway, to_phone),
        pushed=in_turn(committed, services.delivery, Own(cpu.push), services.query, services.fcm),
    )


def _peer(services: Services, distances: Distances, cpu: Cpu) -> Way:
    """A Node server beside Firestore that holds the sockets itself. As the request's own snippet
    does, it writes the call, reads it, emits, reads the token and sends the message."""
    to_phone = distances.phone.times(0.5)
    stored = in_turn(to_phone, services.cloud_run, Own(cpu.peer), services.commit, services.get)
    return Way(
        "a Node server",
        told=in_turn(stored, to_phone),
        answered=None,
        pushed=in_turn(stored, services.get, services.fcm),
    )


def _arrived(services: Services, distances: Distances) -> Part:
    """The frame's way from the phone to the function."""
    return in_turn(
        distances.phone.times(0.5),
        services.api_gateway,
        distances.clouds.times(0.5),
        services.cloud_run,
    )


def _requests(services: Services, distances: Distances, cpu: Cpu) -> Requests:
    return Requests(
        gateway=in_turn(
            Own(cpu.gateway),
            services.get,
            at_once(services.commit, services.query),
            distances.clouds,
            services.post,
            services.publish,
        ),
        deliver=in_turn(Own(cpu.deliver), services.query, services.commit),
        push=in_turn(Own(cpu.push), services.query, services.fcm),
    )


def results(bracketed: Sequence[Bracket]) -> Table:
    """What came of all ways in all brackets."""
    rows = tuple(
        (f"{bracket.name}: {way.name}", *_told(way), *_times(way.answered), *_times(way.pushed))
        for bracket in bracketed
        for way in bracket.ways
    )
    columns = ("told, p50", "p99", f"within {PROMISE_MS:.0f} ms")
    more = ("verdict, p50", "p99", "FCM has it, p50", "p99")
    return Table("A cancel in the cloud, by the model", ("", *columns, *more), rows)


def _told(way: Way) -> tuple[str, ...]:
    figures = Figures.of(drawn(way.told))
    return _ms(figures.p50), _ms(figures.p99), f"{figures.within_promise:.0%}".replace("%", " %")


def _times(part: Part | None) -> tuple[str, ...]:
    if part is None:
        return "none", ""
    figures = Figures.of(drawn(part))
    return _ms(figures.p50), _ms(figures.p99)


def _ms(time: float) -> str:
    return f"{time:.0f} ms"


def sources(services: Services = SERVICES) -> Table:
    """What the model is made of."""
    distances = [each for _, _, place in _PLACES for each in (place.phone, place.clouds)]
    of_services = [getattr(services, field.name) for field in fields(services)]
    rows = tuple(
        (step.name, f"{step.p50:g}", f"{step.p99:g}", step.basis.value, step.source)
        for step in dict.fromkeys([*of_services, *distances])
    )
    return Table("Its steps", ("step", "p50", "p99", "", "by"), rows, (0, 3, 4))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.bench.model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    Cpu.add_to(parser)
    names = ", ".join(field.name for field in fields(Services))
    parser.add_argument(
        "--step",
        action="append",
        default=[],
        type=_given,
        metavar="NAME=P50/P99",
        help=f"another figure for a service, in milliseconds; may be repeated. One of {names}",
    )
    add_forms(parser)
    options = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(options)
    services = SERVICES
    for change in given.step:
        services = change(services)
    modelled = brackets(Cpu.given_by(given), services)
    put_out([results(modelled), sources(services)], parser.prog, options, given)


def _given(text: str) -> Callable[[Services], Services]:
    """What `get=5/20` makes of the services."""
    name, _, figures = text.partition("=")
    if name not in {field.name for field in fields(Services)}:
        raise argparse.ArgumentTypeError(f"there is no step {name!r}")
    try:
        p50, p99 = map(float, figures.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=P50/P99") from None
    if not 0 < p50 <= p99:
        raise argparse.ArgumentTypeError(f"{text!r} has no p50 above 0 that its p99 reaches")
    return partial(_changed, name, p50, p99)


def _changed(name: str, p50: float, p99: float, services: Services) -> Services:
    old: Step = getattr(services, name)
    step = Step(old.name, p50, p99, Basis.ASSUMED, "given by --step")
    return replace(services, **{name: step})


if __name__ == "__main__":
    main()
