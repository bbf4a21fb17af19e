"""The trace of a signal: every remote call, what it asked and what came of it."""

import re

import pytest

from tests.console.page.desk import CALLER, RECEIVER, TRACE, TRACES, Desk
from tests.support.site import Named

SEARCH: Named = ("searchbox", "User or call")
NOTICE: Named = ("status", "Notice")
# Whether all that is listed is about somebody or something, and these events are among it.
_FOUND = """function(about, ...wanted) {
  const rows = [...this.querySelectorAll(".trace-list button")];
  const of = (row, name) => row.querySelector(`.${name}`).textContent;
  const isAbout = (row) =>
    [of(row, "call-id"), ...of(row, "users").split(", ")].some((id) => id.startsWith(about));
  const events = rows.map((row) => of(row, "event"));
  return rows.every(isAbout) && wanted.every((event) => events.includes(event));
}"""
_LISTS = "function(call) { return this.querySelector('.trace-list').textContent.includes(call) }"
_CHOOSE = """function(event, call) {
  const rows = [...this.querySelectorAll(".trace-list button")];
  const row = rows.find(({textContent}) => textContent.includes(event)
    && textContent.includes(call));
  row?.click();
  return row !== undefined;
}"""
_UNFOLD_RUNNING = """function(label) {
  const buttons = this.querySelectorAll("tr[data-outcome=running] .call button");
  const button = [...buttons].find(({textContent}) => textContent === label);
  button?.click();
  return button !== undefined;
}"""
_DETAIL_HAS_ENDED = """function() {
  return this.querySelector(".span-detail .facts")?.textContent.includes("took");
}"""
_CANCEL = "call:cancel: cancelled"
_LEAST_CALLS = 11
_CALLS_OF_A_CANCEL = {
    ("frame", "gateway"),
    ("read", "gateway"),
    ("write", "gateway"),
    ("post", "gateway"),
    ("publish", "gateway"),
    ("delivery", "deliver"),
    ("delivery", "push"),
    ("read", "push"),
    ("push", "push"),
}


async def cancelled(at: Desk) -> str:
    """A call that was cancelled, whose trace is shown in whole; gives its id."""
    call = await at.calls_and_it_rings()
    await at.presses(CALLER, "Cancel")
    await at.hears(RECEIVER, "FCM", "call_cancelled")
    await at.shows_the_trace(_CANCEL, _LEAST_CALLS)
    return call


async def test_the_trace_of_a_cancel_has_every_remote_call(at: Desk) -> None:
    await cancelled(at)
    shown = await at.shows_the_trace(_CANCEL, _LEAST_CALLS)
    assert {(kind, function) for kind, function, _ in shown} >= _CALLS_OF_A_CANCEL
    # The commit, and the look-up beside it.
    assert [kind for kind, function, _ in shown if function == "gateway"].count("read") == 2


@pytest.mark.thorough
async def test_a_bar_shows_what_was_asked_and_what_came(at: Desk) -> None:
    call = await cancelled(at)
    await at.site.click(("button", "commit"), TRACES)
    await at.site.says("Request", TRACES)
    await at.site.until(
        f"document.querySelector('.span-detail pre')?.textContent.includes('{call}')"
    )
    await at.site.says("Log lines", TRACES)


@pytest.mark.thorough
async def test_a_bar_is_opened_and_closed_by_the_keyboard(at: Desk) -> None:
    await cancelled(at)
    await at.site.focus(("button", "commit"), TRACES)
    await at.site.press("Enter")
    await at.site.until("document.querySelectorAll('.span-detail').length === 1")
    await at.site.press("Enter")
    await at.site.until("document.querySelectorAll('.span-detail').length === 0")


@pytest.mark.thorough
async def test_a_trace_is_copied_as_text(at: Desk) -> None:
    call = await cancelled(at)
    await at.site.allow("clipboardReadWrite", "clipboardSanitizedWrite")
    await at.site.click(("button", "Copy as text"), TRACES)
    await at.site.sees("on the clipboard", NOTICE)
    text = await at.site.value("navigator.clipboard.readText()")
    assert call in text
    assert re.search(r"\bgateway\b.*firestore\.Commit|firestore\.Commit.*\bgateway\b", text)


@pytest.mark.thorough
async def test_traces_are_found_by_user_or_call(at: Desk) -> None:
    call = await cancelled(at)
    for about in (at.caller, call):
        await at.site.fill(SEARCH, about, TRACES)
        await at.site.until_on(TRACES, _FOUND, about, "call:initiate", "call:cancel")
        await at.site.fill(SEARCH, "nobody-is-called-so", TRACES)
        await at.site.says("No trace of a user or a call", TRACES)


@pytest.mark.thorough
async def test_a_search_finds_what_is_no_signal_too(at: Desk) -> None:
    await at.site.fill(SEARCH, at.caller, TRACES)
    await at.site.until_on(TRACES, _FOUND, at.caller, "device:register")


@pytest.mark.thorough
async def test_a_trace_that_was_chosen_stays(at: Desk) -> None:
    call = await cancelled(at)
    await at.site.until_on(TRACES, _CHOOSE, "call:initiate", call)
    await at.shows_the_trace("call:initiate: ringing")
    another = await at.calls()
    await at.site.until_on(TRACES, _LISTS, another)
    assert call in await at.site.text(TRACE)


@pytest.mark.thorough
async def test_a_trace_that_the_server_has_dropped_is_not_shown_as_empty(at: Desk) -> None:
    call = await cancelled(at)
    await at.site.value("{ window.fetch = async () => new Response('{}', {status: 404}) }")
    await at.site.until_on(TRACES, _CHOOSE, "call:initiate", call)
    await at.site.says("not kept any more", TRACES)
    assert "0 calls" not in await at.site.text(TRACES)


@pytest.mark.thorough
async def test_the_detail_of_a_call_that_runs_becomes_that_of_its_end(at: Desk) -> None:
    await at.calls_and_it_rings()
    async with at.broken("Firestore is slow"):
        await at.presses(CALLER, "Cancel")
        await at.site.until_on(TRACES, _UNFOLD_RUNNING, "commit")
        await at.hears(RECEIVER, "FCM", "call_cancelled")
        await at.shows_the_trace(_CANCEL, _LEAST_CALLS)
        await at.site.says("firestore.Commit, from", TRACES)
        await at.site.until_on(TRACES, _DETAIL_HAS_ENDED)


@pytest.mark.thorough
async def test_a_real_apps_signal_has_a_trace_too(at: Desk) -> None:
    from infra.client.phone import phone

    async with phone(at.stack.websocket, at.caller, at.stack.project) as app:
        await app.emit("call:cancel", callId="CALL_of_nobody")
    await at.site.fill(SEARCH, "CALL_of_nobody", TRACES)
    await at.site.until_on(TRACES, _FOUND, "CALL_of_nobody", "call:cancel")
