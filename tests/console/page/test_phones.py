"""The phones of the page are clients like any other."""

import pytest

from tests.console.page.desk import CALLER, RECEIVER, SECOND, Desk


@pytest.mark.thorough
async def test_a_call_is_accepted_and_ended(at_either: Desk) -> None:
    call = await at_either.calls()
    await at_either.hears(RECEIVER, "Socket", "call:incoming")
    await at_either.presses(RECEIVER, "Accept")
    await at_either.hears(CALLER, "Socket", "call:accepted", "they talk")
    await at_either.shows(RECEIVER, "In a call")
    await at_either.presses(RECEIVER, "End")
    await at_either.hears(CALLER, "Socket", "call:ended", "ends the call")
    await at_either.shows(RECEIVER, "You hung up")
    assert (await at_either.document(call))["status"] == "ended"


@pytest.mark.thorough
async def test_a_call_is_declined(at_either: Desk) -> None:
    call = await at_either.calls()
    await at_either.presses(RECEIVER, "Decline")
    await at_either.hears(CALLER, "Socket", "call:rejected")
    await at_either.hears(CALLER, "FCM", "call_rejected")
    await at_either.shows(CALLER, "Declined")
    assert (await at_either.document(call))["status"] == "rejected"


async def test_a_cancel_is_heard_by_socket_and_by_push(at_either: Desk) -> None:
    call = await at_either.calls_and_it_rings()
    await at_either.presses(CALLER, "Cancel")
    await at_either.hears(RECEIVER, "Socket", "call:cancelled")
    await at_either.hears(RECEIVER, "FCM", "call_cancelled")
    await at_either.shows(RECEIVER, "Missed: the caller gave up")
    await at_either.shows(CALLER, "You gave up")
    assert (await at_either.document(call))["status"] == "cancelled"


@pytest.mark.thorough
async def test_what_comes_is_shown_with_the_time_since_its_signal(at: Desk) -> None:
    await at.calls_and_it_rings()
    await at.presses(CALLER, "Cancel")
    await at.hears(RECEIVER, "Socket", "call:cancelled")
    times = """function() {
      const entries = [...this.querySelectorAll("[data-channel=socket], [data-channel=fcm]")];
      return entries.map((entry) => entry.querySelector(".since").textContent);
    }"""
    shown = await at.site.until_on(RECEIVER, times)
    assert all(time.startswith("+") and time.endswith("s") for time in shown)


async def test_a_second_device_that_answers_silences_the_first(at: Desk) -> None:
    await at.site.click(("button", "Add a second device"))
    await at.is_connected(SECOND)
    await at.calls()
    await at.hears(RECEIVER, "Socket", "call:incoming")
    await at.presses(SECOND, "Accept")
    await at.shows(RECEIVER, "Answered on another device")
    await at.hears(RECEIVER, "FCM", "call_cancelled")
    await at.shows(SECOND, "In a call")
    await at.shows(CALLER, "In a call")


@pytest.mark.thorough
async def test_a_second_device_that_is_removed_hears_no_more(at: Desk) -> None:
    await at.site.click(("button", "Add a second device"))
    await at.is_connected(SECOND)
    await at.presses(SECOND, "Remove")
    await at.site.until("document.querySelectorAll('.phone').length === 2")
    call = await at.calls_and_it_rings()
    await at.is_told(call, 1)
    about_it = [sent for sent in at.stack.fcm.messages if sent["data"]["callId"] == call]
    assert [sent["token"].rpartition("-")[0] for sent in about_it] == ["console-receiver"]
    await at.site.find(("button", "Add a second device"), is_enabled=True)


@pytest.mark.thorough
async def test_who_was_offline_is_told_once_he_is_back(at_either: Desk) -> None:
    await at_either.calls_and_it_rings()
    await at_either.presses(RECEIVER, "Go offline")
    await at_either.presses(CALLER, "Cancel")
    await at_either.hears(RECEIVER, "FCM", "call_cancelled", "FCM keeps it")
    await at_either.shows(RECEIVER, "Incoming call")
    await at_either.presses(RECEIVER, "Come back")
    await at_either.shows(RECEIVER, "Missed: the caller gave up")
    await at_either.hears(RECEIVER, "Socket", "call:cancelled")


async def test_a_killed_app_is_woken_by_push_alone(at: Desk) -> None:
    await at.presses(RECEIVER, "Kill the app")
    await at.shows(RECEIVER, "Locked")
    await at.calls()
    await at.hears(RECEIVER, "FCM", "incoming_call", "rings")
    await at.presses(CALLER, "Cancel")
    await at.hears(RECEIVER, "FCM", "call_cancelled", "stops the ring")
    await at.presses(RECEIVER, "Open the app")
    await at.shows(RECEIVER, "Missed: the caller gave up")


@pytest.mark.thorough
async def test_the_lock_screen_declines_by_the_ring_token(at_either: Desk) -> None:
    await at_either.presses(RECEIVER, "Kill the app")
    await at_either.calls()
    await at_either.hears(RECEIVER, "FCM", "incoming_call", "rings")
    await at_either.presses(RECEIVER, "Decline")
    await at_either.hears(RECEIVER, "Sent", "call:reject", "by the ring token: rejected")
    await at_either.hears(CALLER, "Socket", "call:rejected")
    await at_either.shows(RECEIVER, "app killed")


@pytest.mark.thorough
async def test_only_buttons_that_make_sense_can_be_pressed(at: Desk) -> None:
    await at.can(CALLER, "Call")
    await at.calls_and_it_rings()
    await at.can(CALLER, "Cancel")
    await at.can(RECEIVER, "Accept", "Decline")
    await at.presses(RECEIVER, "Accept")
    await at.can(CALLER, "End")
    await at.can(RECEIVER, "End")
    await at.presses(RECEIVER, "Go offline")
    await at.can(RECEIVER)


@pytest.mark.thorough
async def test_a_button_that_was_pressed_keeps_the_focus(at: Desk) -> None:
    focused = "document.activeElement.textContent"
    await at.site.focus(("button", "Call"), CALLER)
    await at.site.press("Enter")
    await at.can(CALLER, "Cancel")
    assert await at.site.value(focused) == "Call"
    await at.site.focus(("button", "Add a second device"))
    await at.site.press("Enter")
    await at.is_connected(SECOND)
    assert await at.site.value(focused) == "Add a second device"


@pytest.mark.thorough
async def test_a_button_that_makes_no_sense_does_nothing(at: Desk) -> None:
    press = """function(name) {
      const all = [...this.querySelectorAll("button")];
      all.find(({textContent}) => textContent === name).click();
      return true;
    }"""
    for button in ("Accept", "Decline", "Cancel", "End"):
        await at.site.until_on(RECEIVER, press, button)
    await at.presses(RECEIVER, "Go offline")
    await at.site.until_on(RECEIVER, press, "Kill the app")
    await at.presses(RECEIVER, "Come back")
    await at.can(RECEIVER, "Call")
    assert "Sent" not in await at.site.text(RECEIVER)
    assert "app killed" not in await at.site.text(RECEIVER)


@pytest.mark.thorough
async def test_a_duplicated_tab_has_phones_of_its_own(at: Desk) -> None:
    """Such a tab begins with a copy of what the first has kept for its session."""
    mine = await at.site.value("sessionStorage.getItem('unring-page')")
    again = "import('/phones.js?again').then(() => sessionStorage.getItem('unring-page'))"
    assert await at.site.value(again) != mine


@pytest.mark.thorough
async def test_a_tab_that_is_loaded_again_keeps_its_phones(at: Desk) -> None:
    mine = await at.site.value("sessionStorage.getItem('unring-page')")
    await at.site.show(await at.site.value("location.href"))
    await at.is_connected(RECEIVER)
    assert await at.site.value("sessionStorage.getItem('unring-page')") == mine


@pytest.mark.thorough
async def test_the_wires_can_be_mixed(at: Desk) -> None:
    await at.site.click(("radio", "Socket.IO"), RECEIVER)
    await at.is_connected(RECEIVER, "Socket.IO as")
    await at.calls_and_it_rings()
    await at.presses(CALLER, "Cancel")
    await at.hears(RECEIVER, "Socket", "call:cancelled")


@pytest.mark.thorough
async def test_another_user_signs_in_on_a_phone(at: Desk) -> None:
    await at.site.fill(("textbox", "User"), f"{at.receiver}-too", RECEIVER)
    await at.is_connected(RECEIVER, f"JSON as {at.receiver}-too")
    call = await at.calls_and_it_rings()
    assert (await at.document(call))["receiverId"] == f"{at.receiver}-too"
