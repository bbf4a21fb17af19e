"""The pictures of the documentation: plays a call and its cancel, and takes them as it goes.

python -m tests.console.page.pictures
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from infra import ROOT
from infra.emulators.watching import WatchedFaults
from infra.local.console.console import console
from infra.local.signals import run
from infra.local.stack import Options, running
from infra.loopback import spare_loopback
from tests.console.page.desk import CALLER, RECEIVER, TRACE, Desk, desk
from tests.support import debian
from tests.support.browser import browser

_FOLDER = ROOT / "docs" / "pictures"
_HEIGHT = 830
_REHEARSALS = 2  # after which the functions answer as they do when they are warm


async def pictures(folder: Path) -> int:
    """Writes them into `folder`, each in the place of the one before."""
    program = await asyncio.to_thread(debian.install, "chromium", "chromium")
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unring-") as logs:
        faults = WatchedFaults()
        options = Options(port=0, faults=faults, logs=Path(logs))
        async with (
            running(options) as stack,
            console(stack, faults) as url,
            browser(program, Path(logs) / "chromium.log") as chromium,
        ):
            async with desk(chromium, stack) as rehearsing:
                rehearsing.caller, rehearsing.receiver = "carol", "dave"
                await rehearsing.sit_down(url)
                for _ in range(_REHEARSALS):
                    await _cancelled(rehearsing)
            async with desk(chromium, stack) as shown:
                shown.caller, shown.receiver = "alice", "bob"
                await shown.sit_down(url)
                await _cancelled(shown)
                await _take(shown, folder)
    return 0


async def _take(shown: Desk, folder: Path) -> None:
    site = shown.site
    for theme in ("light", "dark"):
        await site.looks(height=_HEIGHT, dark=theme == "dark")
        await site.value("window.scrollTo(0, 0)")
        await site.picture(folder / f"console-{theme}.png")
    await site.looks(height=_HEIGHT)
    await site.picture(folder / "trace.png", clip=TRACE)


async def _cancelled(at: Desk) -> None:
    await at.calls_and_it_rings()
    await at.presses(CALLER, "Cancel")
    await at.hears(RECEIVER, "Socket", "call:cancelled")
    await at.hears(RECEIVER, "FCM", "call_cancelled")
    await at.shows_the_trace("call:cancel: cancelled", 12)


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    spare_loopback(os.environ)
    sys.exit(run(pictures(_FOLDER)))
