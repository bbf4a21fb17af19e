"""The logic of the page's phones, which needs no browser: the checks of logic/ under Node."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra import ROOT
from tests.support import node

_PAGE = ROOT / "infra" / "local" / "console" / "page"
_LOGIC = Path(__file__).with_name("logic")


@pytest.mark.parametrize("checks", ["rules", "phone"])
def test_the_checks_of_the_logic_pass(checks: str, tmp_path: Path) -> None:
    if reason := node.unavailable():
        pytest.skip(f"Node can't run: {reason}")
    # A browser knows by the page that these are modules, and Node by a package.
    for file in (*_PAGE.glob("*.js"), *_LOGIC.glob("*.mjs")):
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run = subprocess.run(  # noqa: S603 - our own checks
        ["node", "--test", f"{checks}.check.mjs"],  # noqa: S607 - wherever it is
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
