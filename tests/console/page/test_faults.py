"""Each switch breaks what it says, and nothing gets lost."""

from dataclasses import dataclass

import pytest

from tests.console.page.desk import CALLER, DEVICES, FAULTS, OUTBOX, RECEIVER, Desk

AGAIN = "unavailable, sent again"
_BROKEN = """function(label) {
  return [...this.querySelectorAll("li")].some((each) =>
    each.querySelector(".label").textContent === label && each.querySelector(".met").textContent);
}"""
_PENDING = """function(call) {
  const all = [...this.querySelectorAll("summary")];
  return all.some((entry) => entry.textContent.startsWith(call)
    && entry.querySelector(".state").textContent === "pending");
}"""
_HAS_NOT_HEARD = """function(channel, title) {
  return [...this.querySelectorAll("li")].every(({children}) =>
    children[0].textContent !== channel || children[1].textContent !== title);
}"""
# As another tab does.
_HEAL = """fetch("/api/faults/fcm-refuses", {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify({on: false}),
}).then(({ok}) => ok)"""
_REGISTERED = """function(times) {
  const effects = [...this.querySelectorAll("li")].filter(({children}) =>
    children[1].textContent === "device:register" && children[3].textContent === "registered");
  return effects.length === times;
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
    keeps_back: bool = True  # what comes afterwards, as long as it is on
    leaves_pending: bool = False  # the outbox entry, as long as it is on


# Of two channels that both work, either may be the first.
_BY_SOCKET = (RECEIVER, "Socket", "call:cancelled", "")
_BY_PUSH = (RECEIVER, "FCM", "call_cancelled", "")
_FIRST_BY_SOCKET = (RECEIVER, "Socket", "call:cancelled", "stops the ring")
_FIRST_BY_PUSH = (RECEIVER, "FCM", "call_cancelled", "stops the ring")
_SENT_AGAIN = (CALLER, "Sent", "call:cancel", AGAIN)
_CANCELLED = (CALLER, "Sent", "call:cancel", "cancelled")

PUBLISHING = Case("Publishing fails", _FIRST_BY_SOCKET, _BY_PUSH, leaves_pending=True)
CASES = (
    Case("Firestore is slow", _CANCELLED, _BY_SOCKET, keeps_back=False),
    Case("Firestore is down", _SENT_AGAIN, _BY_SOCKET),
    Case("Posts to sockets fail", _FIRST_BY_PUSH, _BY_SOCKET),
    Case("Deliveries fail", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("FCM is down", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("gateway is killed", _SENT_AGAIN, _BY_SOCKET),
    Case("deliver is killed", _BY_SOCKET, _BY_PUSH, keeps_back=False),
    Case("push is killed", _FIRST_BY_SOCKET, _BY_PUSH),
    Case("Webhooks fail", _BY_SOCKET, _BY_PUSH, keeps_back=False),
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
        if case.leaves_pending:
            await at.site.until_on(OUTBOX, _PENDING, call)
        if case.keeps_back:
            phone, channel, title, _ = case.afterwards
            await at.site.until_on(phone, _HAS_NOT_HEARD, channel, title)
    await at.site.says("Nothing is broken.", FAULTS)
    # What Pub/Sub has given up meanwhile, at the pace of a test, is published again.
    await at.site.click(("button", "Have sweep look now"))
    await at.hears(*case.afterwards)
    await at.shows(RECEIVER, "Missed: the caller gave up")
    await at.shows(CALLER, "You gave up")
    assert (await at.document(call))["status"] == "cancelled"
    await at.is_told(call, 2)


@pytest.mark.thorough
async def test_a_device_that_fcm_refuses_is_forgotten_until_it_registers_again(at: Desk) -> None:
    call = await at.calls_and_it_rings()
    async with at.broken("FCM refuses the device"):
        await at.presses(CALLER, "Cancel")
        await at.hears(*_FIRST_BY_SOCKET)
        await at.site.until_on(FAULTS, _BROKEN, "FCM refuses the device")
        await at.site.says("gone", DEVICES)
    await at.is_told(call, 2)
    await at.calls_and_it_rings()


@pytest.mark.thorough
async def test_a_device_registers_again_wherever_its_refusal_was_switched_off(at: Desk) -> None:
    await at.calls_and_it_rings()
    await at.site.click(("switch", "FCM refuses the device"), FAULTS)
    try:
        await at.site.says("Broken now: FCM refuses the device.", FAULTS)
        await at.presses(CALLER, "Cancel")
        await at.site.says("gone", DEVICES)
    finally:
        assert await at.site.value(_HEAL)
    await at.site.says("Nothing is broken.", FAULTS)
    await at.shows(RECEIVER, "Missed: the caller gave up")
    await at.site.until_on(RECEIVER, _REGISTERED, 2)
    await at.calls_and_it_rings()


@pytest.mark.thorough
async def test_sweep_is_asked_to_look(at: Desk) -> None:
    await at.site.click(("button", "Have sweep look now"))
    await at.site.sees("Sweep looks", ("status", "Notice"))
    await at.site.click(("checkbox", "Not only signals"))
    await at.site.until(_SWEPT)
