"""CPU is counted as the system accounts for it, of a process and of its children."""

import asyncio
import sys
from pathlib import Path

from infra.bench.cpu import Accounts
from infra.emulators.processes import child

# Works for a while in a child of its own, as functions-framework does, and then rests.
_PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", '''
import time
while time.process_time() < 0.5: pass
print("done", flush=True)
time.sleep(60)
'''])
"""


async def test_what_a_child_uses_counts_until_all_are_at_rest(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT]
    async with asyncio.timeout(60), child(command, {}, tmp_path / "log") as process:
        accounts = Accounts({"parent": process.pid})
        while "done" not in (tmp_path / "log").read_text():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.05)
        used = await accounts.at_rest()
    assert used["parent"] >= 0.5
