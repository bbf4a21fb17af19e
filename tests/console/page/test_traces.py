"""The trace of a signal: every remote call, what it asked and what came of it."""

import re

import pytest

from tests.console.page.desk import CALLER, RECEIVER, TRACES, Desk

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
    await at.site.until("document.querySelector('#said').textContent.includes('on the clipboard')")
    text = await at.site.value("navigator.clipboard.readText()")
    assert call in text
    assert re.search(r"\bgateway\b.*firestore\.Commit|firestore\.Commit.*\bgateway\b", text)


@pytest.mark.thorough
async def test_traces_are_found_by_user_or_call(at: Desk) -> None:
    call = await cancelled(at)
    for about in (at.caller, call):
        await at.site.fill(("searchbox", "User or call"), about, TRACES)
        await at.site.until("document.querySelectorAll('.trace-list li').length === 2")
    await at.site.fill(("searchbox", "User or call"), "nobody-is-called-so", TRACES)
    await at.site.says("No trace of a user or a call", TRACES)


@pytest.mark.thorough
async def test_a_trace_that_was_chosen_stays(at: Desk) -> None:
    await cancelled(at)
    await at.site.fill(("searchbox", "User or call"), at.caller, TRACES)
    await at.site.until("document.querySelectorAll('.trace-list li').length === 2")
    await at.site.value("document.querySelectorAll('.trace-list button')[1].click()")
    await at.shows_the_trace("call:initiate: ringing")
    await at.calls()
    await at.site.until("document.querySelectorAll('.trace-list li').length === 3")
    await at.shows_the_trace("call:initiate: ringing")


@pytest.mark.thorough
async def test_a_real_apps_signal_has_a_trace_too(at: Desk) -> None:
    from infra.client.phone import phone

    async with phone(at.stack.websocket, at.caller, at.stack.project) as app:
        await app.emit("call:cancel", callId="CALL_of_nobody")
    await at.site.fill(("searchbox", "User or call"), "CALL_of_nobody", TRACES)
    await at.site.until("document.querySelectorAll('.trace-list li').length === 1")
