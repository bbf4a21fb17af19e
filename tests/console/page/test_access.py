"""The page can be used by keyboard, by a screen reader, on a narrow screen and in the dark."""

import pytest

from tests.console.page import axe
from tests.console.page.desk import CALLER, RECEIVER, TRACES, Desk
from tests.support.stacks import Watched

WIDE, NARROW = 1440, 390

_BUTTONS = 5  # of a phone's call
_FOCUSED = "document.activeElement.textContent"
# What of the list of traces is drawn beyond its end, or over what stands beside it.
_OUTSIDE = """[...document.querySelectorAll(".trace-list button")].flatMap((row) => {
  const boxes = [...row.children].map((part) => [part, part.getBoundingClientRect()]);
  const {right} = row.getBoundingClientRect();
  const isOver = (one, other) => one.right > other.left + 1 && one.left < other.right - 1
    && one.bottom > other.top + 1 && one.top < other.bottom - 1;
  return boxes.filter(([part, box]) => box.right > right + 1 || part.scrollWidth > part.clientWidth
      && getComputedStyle(part).overflow !== "hidden"
      || boxes.some(([other, place]) => other !== part && isOver(box, place)))
    .map(([{className, textContent}]) => `${className}: ${textContent}`);
})"""


@pytest.fixture(scope="session")
async def axe_script() -> str:
    return await axe.script()


@pytest.mark.parametrize(
    ("width", "is_dark"),
    [
        pytest.param(WIDE, True, id="wide, dark"),
        pytest.param(NARROW, False, id="narrow, light", marks=pytest.mark.thorough),
        pytest.param(WIDE, False, id="wide, light", marks=pytest.mark.thorough),
        pytest.param(NARROW, True, id="narrow, dark", marks=pytest.mark.thorough),
    ],
)
async def test_axe_finds_nothing(
    bare_desk: Desk, watched: Watched, axe_script: str, width: int, is_dark: bool
) -> None:
    site = bare_desk.site
    await bare_desk.sit_down(watched.url)
    await site.looks(width=width, dark=is_dark)
    assert await axe.violations(site, axe_script) == []
    await bare_desk.calls_and_it_rings()
    await site.click(("switch", "Publishing fails"))
    await site.says("Broken now", ("region", "Faults"))
    assert await axe.violations(site, axe_script) == []
    await site.click(("switch", "Publishing fails"))
    await bare_desk.presses(CALLER, "Cancel")
    await bare_desk.hears(RECEIVER, "FCM", "call_cancelled")
    await site.click(("button", "commit"), TRACES)
    await site.click(("button", "publish"), TRACES)
    await site.until("document.querySelectorAll('.span-detail pre').length === 4")
    assert await axe.violations(site, axe_script) == []


@pytest.mark.thorough
async def test_nothing_is_wider_than_a_narrow_screen(bare_desk: Desk, watched: Watched) -> None:
    await bare_desk.sit_down(watched.url)
    await bare_desk.site.looks(width=NARROW)
    await bare_desk.calls_and_it_rings()
    await bare_desk.site.click(("button", "commit"), TRACES)
    await bare_desk.site.says("Log lines", TRACES)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await bare_desk.site.value(wide) == 0


@pytest.mark.thorough
@pytest.mark.parametrize("width", [WIDE, NARROW])
async def test_a_long_id_of_a_call_stays_in_its_column(at: Desk, width: int) -> None:
    from infra.client.phone import phone

    await at.site.looks(width=width)
    call = f"{at.caller}-{'0123456789' * 10}"
    async with phone(at.stack.websocket, at.caller, at.stack.project) as app:
        await app.emit("call:cancel", callId=call)
    await at.site.until(f"document.querySelector('.trace-list').textContent.includes('{call}')")
    assert await at.site.value(_OUTSIDE) == []


@pytest.mark.thorough
async def test_nothing_moves_for_whom_it_should_not(bare_desk: Desk, watched: Watched) -> None:
    await bare_desk.sit_down(watched.url)
    knob = "getComputedStyle(document.querySelector('.knob'), '::after').transitionDuration"
    assert await bare_desk.site.value(knob) == "0s"


@pytest.mark.thorough
async def test_the_theme_that_was_chosen_lasts(bare_desk: Desk, watched: Watched) -> None:
    site = bare_desk.site
    await site.looks()
    await site.show(watched.url)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await site.value(colour)
    await site.click(("button", "Dark theme"))
    dark = await site.value(colour)
    assert dark != light
    await site.show(watched.url)
    await site.find(("button", "Light theme"))
    assert await site.value(colour) == dark


@pytest.mark.thorough
async def test_a_call_is_placed_and_given_up_by_the_keyboard(at: Desk) -> None:
    await at.site.focus(("button", "Call"), CALLER)
    await at.site.press("Enter")
    await at.shows(RECEIVER, "Incoming call")
    await at.can(CALLER, "Cancel")
    for _ in range(_BUTTONS):
        await at.site.press("Tab")
        if await at.site.value(_FOCUSED) == "Cancel":
            break
    assert await at.site.value(_FOCUSED) == "Cancel"
    await at.site.press(" ")
    await at.shows(RECEIVER, "Missed: the caller gave up")
