"""The documents as they change."""

import re

import pytest

from tests.console.page.desk import CALLER, CALLS, CONNECTIONS, DEVICES, RECEIVER, Desk

_FIELD = """function(id, field, value, isChanged) {
  const documents = [...this.querySelectorAll("li")];
  const shown = documents.find((each) => each.querySelector(".id").textContent === id);
  const pairs = [...(shown?.querySelectorAll("dl > div") ?? [])];
  const pair = pairs.find(({firstElementChild}) => firstElementChild.firstChild.data === field);
  return pair?.lastElementChild.textContent === value
    && pair.hasAttribute("data-changed") === isChanged;
}"""


@pytest.mark.thorough
async def test_what_has_changed_in_a_call_is_marked(at: Desk) -> None:
    call = await at.calls_and_it_rings()
    await at.site.until_on(CALLS, _FIELD, call, "status", "ringing", False)
    await at.presses(CALLER, "Cancel")
    await at.site.until_on(CALLS, _FIELD, call, "status", "cancelled", True)
    await at.site.until_on(CALLS, _FIELD, call, "receiverId", at.receiver, False)


@pytest.mark.thorough
async def test_a_connection_that_closes_is_shown_as_closed(at: Desk) -> None:
    await at.presses(RECEIVER, "Go offline")
    await at.site.says("closed", CONNECTIONS)


@pytest.mark.thorough
async def test_of_a_devices_token_only_the_beginning_is_shown(at: Desk) -> None:
    await at.site.says("console-rece…", DEVICES)
    shown = await at.site.value("document.querySelector('#collections').outerHTML")
    assert not re.search(r"console-receiver-\w", shown)
