"""What a million cancels cost by list prices: here, on a server of one's own, and in services that
only carry messages.

    python -m infra.bench.prices --gateway-ms 4.6 --deliver-ms 2.7 --push-ms 3.6 --peer-ms 7.0

A cancel is one of a caller with a socket, and its receiver has a socket and a device. Prices are in
US dollars and those of the USA; what is free each month is not taken off, nor a discount.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum

from infra.bench.model import CPU, Cpu, brackets, drawn
from infra.bench.tables import Table, add_forms, put_out

MILLION = 1_000_000
_GIB = 2**30
_GB = 10**9
_TIB = 2**40
_HOURS = 730  # of a month
_MINUTES = 60 * _HOURS
_SECONDS = 60 * _MINUTES
_GRANULE_MS = 100  # Cloud Run bills the time of an instance in these
_LEAST_BYTES = 1_000  # of a message to or from Pub/Sub, however short it is


@dataclass(frozen=True)
class Price:
    """So many dollars for `per` units, which `unit` names, by what the `source` said when it was
    `seen`, or whose copy of it was."""

    name: str
    usd: float
    per: float
    unit: str
    source: str
    seen: str

    def of(self, amount: float) -> float:
        """What so many units cost."""
        return self.usd * amount / self.per


_API_GATEWAY = (
    "https://aws.amazon.com/api-gateway/pricing/",
    "a copy of 2026-09-20, in its examples",
)
API_GATEWAY_MESSAGES = Price(
    "API Gateway, WebSocket messages", 1.00, MILLION, "million", *_API_GATEWAY
)
API_GATEWAY_MINUTES = Price(
    "API Gateway, connection minutes", 0.25, MILLION, "million minutes", *_API_GATEWAY
)
AWS_EGRESS = Price("from AWS to the internet", 0.09, _GB, "GB", *_API_GATEWAY)

_CLOUD_RUN = "https://cloud.google.com/run/pricing"
_BY_FIREBASE = (_CLOUD_RUN, "as firebase-tools 15.1.0 has it")
CLOUD_RUN_REQUESTS = Price("Cloud Run, requests", 0.40, MILLION, "million", *_BY_FIREBASE)
CLOUD_RUN_CPU = Price("Cloud Run, CPU", 0.000024, 1, "vCPU second", *_BY_FIREBASE)
CLOUD_RUN_MEMORY = Price("Cloud Run, memory", 0.0000025, 1, "GiB second", *_BY_FIREBASE)
CLOUD_RUN_IDLE_CPU = Price("Cloud Run, idle CPU", 0.0000025, 1, "vCPU second", *_BY_FIREBASE)
_ALWAYS = (_CLOUD_RUN, "a copy of 2026-07-29")
CLOUD_RUN_ALWAYS_CPU = Price("Cloud Run by instance, CPU", 0.000018, 1, "vCPU second", *_ALWAYS)
CLOUD_RUN_ALWAYS_MEMORY = Price(
    "Cloud Run by instance, memory", 0.000002, 1, "GiB second", *_ALWAYS
)

_FIRESTORE = ("https://cloud.google.com/firestore/pricing", "a copy of 2026-09-12, for Iowa")
FIRESTORE_READS = Price("Firestore, reads", 0.03, 100_000, "100,000", *_FIRESTORE)
FIRESTORE_WRITES = Price("Firestore, writes", 0.09, 100_000, "100,000", *_FIRESTORE)
FIRESTORE_DELETES = Price("Firestore, deletes", 0.01, 100_000, "100,000", *_FIRESTORE)

PUBSUB = Price(
    "Pub/Sub, throughput",
    40,
    _TIB,
    "TiB",
    "https://cloud.google.com/pubsub/pricing",
    "a copy of 2026-09-20",
)
LOGGING = Price(
    "Cloud Logging",
    0.50,
    _GIB,
    "GiB",
    "https://cloud.google.com/stackdriver/pricing",
    "a copy of 2026-09-12",
)
GOOGLE_EGRESS = Price(
    "from Google to the internet",
    0.12,
    _GIB,
    "GiB",
    "https://cloud.google.com/vpc/network-pricing",
    "a copy of 2026-09-20",
)
SCHEDULER = Price(
    "Cloud Scheduler",
    0.10,
    1,
    "job and month",
    "https://cloud.google.com/scheduler/pricing",
    "many undated copies",
)
VM = Price(
    "a VM, e2-small",
    0.016756,
    1,
    "hour",
    "https://cloud.google.com/compute/vm-instance-pricing",
    "several undated copies, for Iowa",
)

_APPSYNC = "https://aws.amazon.com/appsync/pricing/"
APPSYNC_OPERATIONS = Price(
    "AppSync Events, operations",
    1.00,
    MILLION,
    "million",
    _APPSYNC,
    "AWS's price list of 2024-09-01",
)
APPSYNC_MINUTES = Price(
    "AppSync, connection minutes", 0.08, MILLION, "million minutes", _APPSYNC, "an undated copy"
)
_ABLY = ("https://ably.com/docs/platform/pricing", "a copy of 2026-05-08; new accounts pay by user")
ABLY_MESSAGES = Price("Ably, messages", 2.50, MILLION, "million", *_ABLY)
ABLY_MINUTES = Price(
    "Ably, connection and channel minutes", 1.00, MILLION, "million minutes", *_ABLY
)
ABLY_STANDARD = Price("Ably, Standard", 29, 1, "month", *_ABLY)
_PUBNUB = ("https://www.pubnub.com/docs/general/resources/pricing", "an undated copy")
PUBNUB_REPLICATED = Price("PubNub, replicated transactions", 0.000123, 1, "one", *_PUBNUB)
PUBNUB_EDGE = Price("PubNub, edge transactions", 0.000033, 1, "one", *_PUBNUB)
WEB_PUBSUB = Price(
    "Azure Web PubSub, Standard",
    1.61,
    1,
    "unit and day",
    "https://azure.microsoft.com/en-us/pricing/details/web-pubsub/",
    "several copies of 2025 and 2026",
)
PUSHER = Price(
    "Pusher Channels, Startup",
    49,
    1,
    "month",
    "https://pusher.com/channels/pricing",
    "a copy of 2026-05-08",
)
REALTIME_DATABASE = Price(
    "Firebase Realtime Database, download",
    1.00,
    _GB,
    "GB",
    "https://firebase.google.com/pricing",
    "many undated copies",
)


@dataclass(frozen=True)
class Assumed:
    """What is not measured, for each cancel where it says nothing else."""

    per_second: float = 20.0  # cancels, as the benchmark sends them
    connected_minutes: float = 10.0  # of each of the two phones
    log_bytes: float = 7_000  # four lines of ours and three of Cloud Run's requests
    google_egress_bytes: float = 3_000  # a signed POST, and the verdict as an HTTP reply
    aws_egress_bytes: float = 2_000  # the frame as an HTTP request, and two frames to phones
    peer_egress_bytes: float = 500  # two frames to phones
    downloaded_bytes: float = 1_000  # of an event in the Realtime Database

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Adds an option for each."""
        for field in fields(cls):
            option = f"--{field.name.replace('_', '-')}"
            help = f"an assumption; {field.default:g}"
            parser.add_argument(option, type=float, default=field.default, help=help)

    @classmethod
    def given_by(cls, arguments: argparse.Namespace) -> "Assumed":
        return cls(**{field.name: getattr(arguments, field.name) for field in fields(cls)})


ASSUMED = Assumed()


class Billing(Enum):
    """How the time of an instance is shared by the requests that are billed for it."""

    CPU = "an instance never waits"  # no bill is lower
    SHARED = "requests share an instance"
    ALONE = "requests never meet"


@dataclass(frozen=True)
class Work:
    """One request to a function: the CPU that it takes, and what is billed for it if its instance
    has no other meanwhile."""

    function: str
    cpu_ms: float
    alone_ms: float

    def billed_ms(self, billing: Billing, per_second: float) -> float:
        """The time of an instance that is billed for each. An instance with so many requests a
        second is billed for no more than all of its time, and no less than it has worked."""
        match billing:
            case Billing.CPU:
                return self.cpu_ms
            case Billing.SHARED:
                return min(self.alone_ms, max(self.cpu_ms, 1000 / per_second))
            case Billing.ALONE:
                return self.alone_ms


@dataclass(frozen=True)
class Item:
    """So many units at a price."""

    what: str
    price: Price
    amount: float

    @property
    def usd(self) -> float:
        return self.price.of(self.amount)


def total(items: Iterable[Item]) -> float:
    """What the items cost together."""
    return sum(item.usd for item in items)


def rounded_up(times: Sequence[float]) -> float:
    """The mean of times in milliseconds, each rounded up as Cloud Run bills it."""
    return statistics.fmean(math.ceil(time / _GRANULE_MS) * _GRANULE_MS for time in times)


def works(cpu: Cpu = CPU) -> tuple[Work, ...]:
    """What a cancel is to each function; how long it waits there is the model's, near by."""
    requests = brackets(cpu)[0].requests
    return (
        Work("gateway", cpu.gateway, rounded_up(drawn(requests.gateway))),
        Work("deliver", cpu.deliver, rounded_up(drawn(requests.deliver))),
        Work("push", cpu.push, rounded_up(drawn(requests.push))),
    )


def compute(worked: Iterable[Work], billing: Billing, per_second: float) -> list[Item]:
    """The instances' time for a million cancels; each has one CPU and 512 MiB."""
    items = []
    for work in worked:
        seconds = work.billed_ms(billing, per_second) / 1000 * MILLION
        items.append(Item(f"`{work.function}`, CPU", CLOUD_RUN_CPU, seconds))
        items.append(Item(f"`{work.function}`, memory", CLOUD_RUN_MEMORY, seconds / 2))
    return items


def services(assumed: Assumed = ASSUMED) -> list[Item]:
    """A million cancels but for the instances' time, as docs/performance.md counts the calls."""
    minutes = 2 * assumed.connected_minutes
    return [
        Item("the frame, its verdict and the event", API_GATEWAY_MESSAGES, 3 * MILLION),
        Item(f"{minutes:g} minutes of two phones' sockets", API_GATEWAY_MINUTES, minutes * MILLION),
        Item("to `gateway`, `deliver` and `push`", CLOUD_RUN_REQUESTS, 3 * MILLION),
        # The sender's connection and the call; the receiver's connections, twice; his devices.
        Item("2 documents, and 1 of each of 3 queries", FIRESTORE_READS, 5 * MILLION),
        Item("the call, its outbox entry, and who has it", FIRESTORE_WRITES, 3 * MILLION),
        Item("the outbox entry, by its TTL", FIRESTORE_DELETES, MILLION),
        # `ring` is not called, but what a filter keeps from a subscription is billed as well.
        Item("1 message in, to 3 subscriptions", PUBSUB, 4 * _LEAST_BYTES * MILLION),
        Item(f"{assumed.log_bytes:,.0f} bytes", LOGGING, assumed.log_bytes * MILLION),
        Item(
            f"{assumed.google_egress_bytes:,.0f} bytes",
            GOOGLE_EGRESS,
            assumed.google_egress_bytes * MILLION,
        ),
        Item(
            f"{assumed.aws_egress_bytes:,.0f} bytes", AWS_EGRESS, assumed.aws_egress_bytes * MILLION
        ),
    ]


def monthly() -> list[Item]:
    """What a month costs, however few cancels there are, with the defaults of Terraform."""
    swept = _SECONDS * 50 / 60  # a call a minute, which looks six times, every ten seconds
    return [
        Item("`gateway` and `deliver`, CPU", CLOUD_RUN_IDLE_CPU, 2 * _SECONDS),
        # Memory costs the same, idle or not.
        Item("`gateway` and `deliver`, memory", CLOUD_RUN_MEMORY, 2 * _SECONDS / 2),
        Item("`sweep`, CPU", CLOUD_RUN_CPU, swept * 0.333),
        Item("`sweep`, memory", CLOUD_RUN_MEMORY, swept / 2),
        Item("`sweep` and two warm-ups, each minute", CLOUD_RUN_REQUESTS, 3 * _MINUTES),
        Item("`sweep`, 3 queries each look", FIRESTORE_READS, 3 * 6 * _MINUTES),
        Item("3 jobs", SCHEDULER, 3),
    ]


@dataclass(frozen=True)
class Offer:
    """What a way to do it costs: a million cancels, and each month beside them."""

    name: str
    million: float
    month: float
    note: str


def offers(cpu: Cpu = CPU, assumed: Assumed = ASSUMED) -> list[Offer]:
    """Ours, the peer's, and those of services that carry messages."""
    return [*_ours(cpu, assumed), *_peers(cpu, assumed), *_carriers(assumed)]


def _ours(cpu: Cpu, assumed: Assumed) -> list[Offer]:
    worked, month = works(cpu), total(monthly())
    names = {
        Billing.CPU: "Unring, if no instance ever waited",
        Billing.SHARED: f"Unring, at {assumed.per_second:g} cancels a second",
        Billing.ALONE: "Unring, each cancel alone",
    }
    return [
        Offer(
            name,
            total(services(assumed)) + total(compute(worked, billing, assumed.per_second)),
            month,
            "",
        )
        for billing, name in names.items()
    ]


def _peers(cpu: Cpu, assumed: Assumed) -> list[Offer]:
    """The Node server. It writes the call, and reads it and the receiver's token."""
    items = [
        Item("the call and a token", FIRESTORE_READS, 2 * MILLION),
        Item("the call", FIRESTORE_WRITES, MILLION),
        Item("two frames", GOOGLE_EGRESS, assumed.peer_egress_bytes * MILLION),
    ]
    always = [
        # A socket is a request, so that somebody is always being served.
        Item("CPU", CLOUD_RUN_ALWAYS_CPU, _SECONDS),
        Item("memory", CLOUD_RUN_ALWAYS_MEMORY, _SECONDS / 2),
    ]
    busy = f"{cpu.peer * assumed.per_second / 10:.0f} % of a CPU at {assumed.per_second:g} a second"
    return [
        Offer("a Node server on a VM", total(items), VM.of(_HOURS), f"one VM, {busy}"),
        Offer("a Node server on Cloud Run", total(items), total(always), f"one instance, {busy}"),
    ]


def _carriers(assumed: Assumed) -> list[Offer]:
    """Of each the least: the event is published once and delivered once, and the cancel and its
    verdict are an HTTPS request to somebody else."""
    minutes = 2 * assumed.connected_minutes * MILLION
    ably = ABLY_MESSAGES.of(2 * MILLION) + ABLY_MINUTES.of(2 * minutes)  # a channel for each
    appsync = APPSYNC_OPERATIONS.of(2 * MILLION) + APPSYNC_MINUTES.of(minutes)
    gateway = API_GATEWAY_MESSAGES.of(MILLION) + API_GATEWAY_MINUTES.of(minutes)
    pubnub = PUBNUB_REPLICATED.of(MILLION) + PUBNUB_EDGE.of(MILLION)
    downloaded = REALTIME_DATABASE.of(assumed.downloaded_bytes * MILLION)
    unit = "to 1,000 sockets and 1 M messages a day"
    return [
        Offer("API Gateway, messages alone", gateway, 0, "what Unring uses"),
        Offer("AppSync Events, messages alone", appsync, 0, ""),
        Offer("Ably, messages alone", ably, ABLY_STANDARD.of(1), "before volume discounts"),
        Offer("PubNub, messages alone", pubnub, 0, "by transactions"),
        Offer("Azure Web PubSub, messages alone", 0, WEB_PUBSUB.of(_HOURS / 24), unit),
        Offer("Pusher, messages alone", 0, PUSHER.of(1), "to 500 sockets and 1 M messages a day"),
        Offer("Firebase Realtime Database, messages alone", downloaded, 0, ""),
    ]


def compared(offered: Iterable[Offer]) -> Table:
    """All of them side by side."""
    rows = tuple((each.name, _usd(each.million), _usd(each.month), each.note) for each in offered)
    columns = ("", "a million cancels", "and each month", "")
    return Table("What a million cancels cost", columns, rows, (0, 3))


def itemised(cpu: Cpu = CPU, assumed: Assumed = ASSUMED) -> Table:
    """What a million of ours consists of."""
    worked = works(cpu)
    by_billing = [
        compute(worked, billing, assumed.per_second)
        for billing in (Billing.CPU, Billing.SHARED, Billing.ALONE)
    ]
    # CPU and memory of a function are one row, and each of the three a column.
    rows = [
        (f"Cloud Run, `{work.function}`", _billed(work, assumed), *_sums(by_billing, number))
        for number, work in enumerate(worked)
    ]
    rows += [(item.price.name, item.what, *[_usd(item.usd)] * 3) for item in services(assumed)]
    known = total(services(assumed))
    rows.append(("together", "", *(_usd(known + total(items)) for items in by_billing)))
    shared = f"at {assumed.per_second:g} a second"
    columns = ("", "for each cancel", "no instance waits", shared, "each alone")
    return Table("A million cancels of Unring", columns, tuple(rows), (0, 1))


def _billed(work: Work, assumed: Assumed) -> str:
    shared = work.billed_ms(Billing.SHARED, assumed.per_second)
    return f"{work.cpu_ms:g}, {shared:.0f} or {work.alone_ms:.0f} ms"


def _sums(by_billing: Iterable[Sequence[Item]], number: int) -> list[str]:
    return [_usd(total(items[2 * number : 2 * number + 2])) for items in by_billing]


def each_month() -> Table:
    """What ours costs beside."""
    rows = [(item.price.name, item.what, _usd(item.usd)) for item in monthly()]
    rows.append(("together", "", _usd(total(monthly()))))
    return Table("A month of Unring", ("", "", "each month"), tuple(rows), (0, 1))


def list_prices() -> Table:
    """All prices, with where they are from."""
    prices = [value for value in globals().values() if isinstance(value, Price)]
    rows = tuple(
        (price.name, _exactly(price.usd), price.unit, price.source, price.seen) for price in prices
    )
    return Table("List prices", ("", "price", "for each", "by", "seen"), rows, (0, 2, 3, 4))


def _usd(amount: float) -> str:
    return f"${amount:.2f}"


def _exactly(amount: float) -> str:
    """With as many digits as it has, and two at least."""
    return max(_usd(amount), f"${amount:.7f}".rstrip("0"), key=len)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.bench.prices", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    Cpu.add_to(parser)
    Assumed.add_to(parser)
    add_forms(parser)
    options = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(options)
    cpu, assumed = Cpu.given_by(given), Assumed.given_by(given)
    tables = [compared(offers(cpu, assumed)), itemised(cpu, assumed), each_month(), list_prices()]
    put_out(tables, parser.prog, options, given)


if __name__ == "__main__":
    main()
