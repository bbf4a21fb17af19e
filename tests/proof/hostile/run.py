"""Runs the attacks, which are tests, and counts them."""

import asyncio
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.proof.table import Row

PART = "hostile input"


async def run() -> list[Row]:
    """A row for each kind of attack; `wrong` are those that got somewhere."""
    folder = Path(__file__).parent
    return [await _row(path) for path in sorted(folder.glob("test_hostile_*.py"))]


async def _row(path: Path) -> Row:
    row = Row(PART, f"attacks by {path.stem.removeprefix('test_hostile_')}")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "--quiet", f"--junitxml={report}", str(path)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        await process.wait()
        if not report.exists():
            row.wrong, row.findings = 1, ["the attacks could not be run"]
            return row
        cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 - our own
    cases = [case for case in cases if not list(case.iter("skipped"))]
    row.tried = len(cases)
    failed = [case for case in cases if list(case.iter("failure")) or list(case.iter("error"))]
    row.wrong = len(failed)
    row.findings = [str(case.get("name")) for case in failed]
    return row
