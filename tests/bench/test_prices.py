"""What a million cancels cost: the arithmetic, against figures worked out by hand."""

import re

import pytest

from infra.bench import prices
from infra.bench.model import CPU
from infra.bench.prices import (
    MILLION,
    Assumed,
    Billing,
    Item,
    Price,
    Work,
    compute,
    monthly,
    offers,
    rounded_up,
    services,
    total,
)
from tests.support.pages import read

WORK = Work("gateway", cpu_ms=5, alone_ms=130)
NOTHING = Assumed(
    connected_minutes=0,
    log_bytes=0,
    google_egress_bytes=0,
    aws_egress_bytes=0,
    peer_egress_bytes=0,
    downloaded_bytes=0,
)


def usd(items: list[Item]) -> dict[str, float]:
    return {item.price.name: round(item.usd, 4) for item in items}


def test_so_many_units_cost_so_many_times_their_price() -> None:
    price = Price("messages", 2.50, MILLION, "M", "https://example.com", "today")
    assert price.of(3_000_000) == 7.50
    assert Item("", price, 400_000).usd == 1.00


def test_a_million_cancels_cost_the_sum_of_their_parts() -> None:
    parts = usd(services(NOTHING))
    assert parts == {
        "API Gateway, WebSocket messages": 3.00,
        "API Gateway, connection minutes": 0,
        "Cloud Run, requests": 1.20,
        "Firestore, reads": 1.50,
        "Firestore, writes": 2.70,
        "Firestore, deletes": 0.10,
        "Pub/Sub, throughput": 0.1455,  # 4,000,000,000 bytes of 1,099,511,627,776, at $40
        "Cloud Logging": 0,
        "from Google to the internet": 0,
        "from AWS to the internet": 0,
    }
    assert total(services(NOTHING)) == pytest.approx(8.6455, abs=0.0001)


def test_what_is_assumed_costs_in_proportion() -> None:
    assumed = Assumed(
        connected_minutes=10,
        log_bytes=2**30 / MILLION,
        google_egress_bytes=2**30 / MILLION,
        aws_egress_bytes=1_000,
    )
    parts = usd(services(assumed))
    assert parts["API Gateway, connection minutes"] == 5.00  # 20 million, at $0.25
    assert parts["Cloud Logging"] == 0.50
    assert parts["from Google to the internet"] == 0.12
    assert parts["from AWS to the internet"] == 0.09


def test_an_instance_that_never_waits_is_billed_for_its_cpu_alone() -> None:
    assert WORK.billed_ms(Billing.CPU, per_second=20) == 5
    # 5,000 seconds, at $0.000024 for the CPU and, of half a GiB, $0.00000125 for the memory
    assert total(compute([WORK], Billing.CPU, 20)) == pytest.approx(0.12 + 0.00625)


def test_a_request_that_comes_alone_is_billed_for_all_that_it_waits() -> None:
    assert WORK.billed_ms(Billing.ALONE, per_second=20) == 130
    assert total(compute([WORK], Billing.ALONE, 20)) == pytest.approx(130_000 * 0.00002525)


@pytest.mark.parametrize(
    ("per_second", "billed"),
    [(1, 130), (7.69, 130), (10, 100), (20, 50), (100, 10), (200, 5), (1000, 5)],
)
def test_requests_share_an_instance_that_is_billed_for_no_more_than_all_of_its_time(
    per_second: float, billed: float
) -> None:
    assert WORK.billed_ms(Billing.SHARED, per_second) == pytest.approx(billed, abs=0.05)


def test_time_is_rounded_up_to_a_tenth_of_a_second_for_each_request() -> None:
    assert rounded_up([1.0]) == 100
    assert rounded_up([100.0, 100.1]) == 150


def test_every_function_is_billed_for_no_less_than_it_works() -> None:
    for work in prices.works(CPU):
        assert work.cpu_ms < 100 <= work.alone_ms


def test_a_month_of_waiting_costs_what_terraform_keeps_running() -> None:
    by_name = {item.what: round(item.usd, 2) for item in monthly()}
    assert by_name == {
        "`gateway` and `deliver`, CPU": 13.14,  # 2 of them, 2,628,000 s, at $0.0000025
        "`gateway` and `deliver`, memory": 6.57,
        "`sweep`, CPU": 17.50,  # a third of a CPU, 50 s of each minute: 2,190,000 s
        "`sweep`, memory": 2.74,
        "`sweep` and two warm-ups, each minute": 0.05,
        "`sweep`, 3 queries each look": 0.24,  # 788,400 reads
        "3 jobs": 0.30,
    }


def test_terraform_keeps_by_default_what_a_month_is_billed_for() -> None:
    text = read("infra/cloud/modules/unring/variables.tf")
    sizes = re.findall(r"    (\w+) = optional\(object\(\{(.*?)\}\), \{\}\)", text, re.DOTALL)
    defaults = {
        name: dict(re.findall(r"(\w+) += optional\(\w+, (\S+)\)", size)) for name, size in sizes
    }
    always = [name for name, size in defaults.items() if size["min_instances"] != "0"]
    assert always == ["gateway", "deliver"]
    assert {size["memory"] for size in defaults.values()} == {'"512Mi"'}
    assert {defaults[name]["cpu"] for name in ("gateway", "deliver", "push")} == {"1"}
    assert defaults["sweep"]["cpu"] == "0.333"


def test_offers_are_counted_by_the_rules_of_who_makes_them() -> None:
    offered = {
        each.name.partition(",")[0]: (round(each.million, 2), round(each.month, 2))
        for each in offers(CPU, NOTHING)
    }
    assert offered["API Gateway"] == (1.00, 0)
    assert offered["AppSync Events"] == (2.00, 0)
    assert offered["Ably"] == (5.00, 29.00)
    assert offered["PubNub"] == (156.00, 0)
    assert offered["Azure Web PubSub"] == (0, 48.97)  # 730 hours, at $1.61 a day
    assert offered["Pusher"] == (0, 49.00)
    assert offered["Firebase Realtime Database"] == (0, 0)


def test_the_peer_pays_for_two_reads_a_write_and_a_machine_that_is_always_there() -> None:
    by_name = {each.name: each for each in offers(CPU, NOTHING)}
    machine, run = by_name["a Node server on a VM"], by_name["a Node server on Cloud Run"]
    assert machine.million == run.million == pytest.approx(0.60 + 0.90)
    assert machine.month == pytest.approx(12.23, abs=0.01)
    assert run.month == pytest.approx(47.304 + 2.628)


def test_sockets_cost_everybody_who_bills_their_minutes() -> None:
    held = Assumed(connected_minutes=5)  # ten million, of a million cancels with two phones
    by_name = {each.name: each.million for each in offers(CPU, held)}
    assert by_name["API Gateway, messages alone"] == pytest.approx(1.00 + 2.50)
    assert by_name["AppSync Events, messages alone"] == pytest.approx(2.00 + 0.80)
    assert by_name["Ably, messages alone"] == pytest.approx(5.00 + 20.00)  # and a channel each


def test_the_bill_is_between_the_two_that_cannot_be_passed() -> None:
    least, shared, most, *_ = (each.million for each in offers())
    assert least < shared < most


def test_every_price_has_a_source_and_says_when_it_was_seen() -> None:
    known = [value for value in vars(prices).values() if isinstance(value, Price)]
    assert len(known) > 20
    for price in known:
        assert price.source.startswith("https://")
        assert price.seen
        assert price.unit
    assert len(prices.list_prices().rows) == len(known)


def test_what_a_million_consists_of_adds_up_in_each_column() -> None:
    *rows, together = prices.itemised().rows
    for column in (2, 3, 4):
        summed = sum(float(row[column].removeprefix("$")) for row in rows)
        assert summed == pytest.approx(float(together[column].removeprefix("$")), abs=0.08)
