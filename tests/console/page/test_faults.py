"""Each switch breaks what it says, and nothing gets lost."""

from dataclasses import dataclass

import pytest

from tests.console.page.desk import CALLER, DEVICES, FAULTS, OUTBOX, RECEIVER, Desk

AGAIN = "unavailable, sent again"
_BROKEN = """function(label) {
  return [...this.querySelectorAll("li")].some((each) =>
    each.querySelector(".label").textContent === label && each.querySelector(".met").textContent);
}"""
# Whether all the events of a call have come to whom they are for.
_DONE = """function(call) {
  const all = [...this.querySelectorAll("summary")];
  const entries = all.filter(({textContent}) => textContent.startsWith(call));
  const isDone = (entry) => entry.querySelector(".state").textContent === "done";
  return entries.length === 2 && entries.every(isDone);
}"""
_SWEPT = """[...document.querySelectorAll(".trace-list .event")]
  .some(({textContent}) => textContent === "sweep")"""


@dataclass(frozen=True)
class Case:
    """A switch; what one phone sees of a cancel while it is on, and what the receiver is told once
    it is off, as (phone, channel, title, effect)."""

    label: str
    meanwhile: tuple[tuple[str, str], str, str, str]
    afterwards: tuple[tuple[str, str], str, str, str]


# Of two channels that both work, either may be the first.
_BY_SOCKET = (RECEIVER, "Socket", "call:cancelled", "")
_BY_PUSH = (RECEIVER, "FCM", "call_cancelled", "")
_FIRST_BY_SOCKET = (RECEIVER, "Socket", "call:cancelled", "stops the ring")
_FIRST_BY_PUSH = (RECEIVER, "FCM", "call_cancelled", "stops the ring")
_SENT_AGAIN = (CALLER, "Sent", "call:cancel", AGAIN)
_CANCELLED = (CALLER, "Sent", "call:cancel", "cancelled")

PUBLISHING = Case("Publishing fails", _FIRST_BY_SOCKET, _BY_PUSH)
CASES = (
    Case("Firestore is slow", _CANCELLED, _BY_SOCKET),
    Case("Firestore is down", _SENT_AGAIN, _BY_SOCKET),
    Case("Posts to sockets fail", _FIRST_BY_PUSH, _BY_SOCKET),
    Case("Deliveries fail", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("FCM is down", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("gateway is killed", _SENT_AGAIN, _BY_SOCKET),
    Case("deliver is killed", _BY_SOCKET, _BY_PUSH),
    Case("push is killed", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("Webhooks fail", _BY_SOCKET, _BY_PUSH),
)


@pytest.mark.parametrize(
    "case",
    [PUBLISHING, *(pytest.param(each, marks=pytest.mark.thorough) for each in CASES)],
    ids=lambda case: case.label,
)
async def test_nothing_is_lost(at: Desk, case: Case) -> None:
    call = await at.calls_and_it_rings()
    async with at.broken(case.label):
        await at.site.says(f"Broken now: {case.label}.", FAULTS)
        await at.presses(CALLER, "Cancel")
        await at.hears(*case.meanwhile)
        await at.site.until_on(FAULTS, _BROKEN, case.label)
    await at.site.says("Nothing is broken.", FAULTS)
    # What Pub/Sub has given up meanwhile, at the pace of a test, is published again.
    await at.site.click(("button", "Have sweep look now"))
    await at.hears(*case.afterwards)
    await at.shows(RECEIVER, "Missed: the caller gave up")
    await at.shows(CALLER, "You gave up")
    assert (await at.document(call))["status"] == "cancelled"
    await at.site.until_on(OUTBOX, _DONE, call)


@pytest.mark.thorough
async def test_a_device_that_fcm_refuses_is_forgotten_until_it_registers_again(at: Desk) -> None:
    call = await at.calls_and_it_rings()
    async with at.broken("FCM refuses the device"):
        await at.presses(CALLER, "Cancel")
        await at.hears(*_FIRST_BY_SOCKET)
        await at.site.until_on(FAULTS, _BROKEN, "FCM refuses the device")
        await at.site.says("gone", DEVICES)
    await at.site.until_on(OUTBOX, _DONE, call)
    await at.calls_and_it_rings()


@pytest.mark.thorough
async def test_sweep_is_asked_to_look(at: Desk) -> None:
    await at.site.click(("button", "Have sweep look now"))
    await at.site.until("document.querySelector('#said').textContent.startsWith('Sweep looks')")
    await at.site.click(("checkbox", "Not only signals"))
    await at.site.until(_SWEPT)
