"""The tables in docs/performance.md are what the commands beside them print."""

import re
import shlex

import pytest

from infra.bench import model, prices
from tests.support.pages import read

_MAINS = {"model": model.main, "prices": prices.main}
_COMMAND = re.compile(r"python -m infra\.bench\.(model|prices)( [^`\n]*--markdown)")
COMMANDS = _COMMAND.findall(read("docs/performance.md"))


def test_both_commands_stand_in_the_docs_once() -> None:
    assert sorted(module for module, _ in COMMANDS) == ["model", "prices"]


@pytest.mark.parametrize(("module", "options"), COMMANDS)
def test_what_a_command_prints_stands_in_the_docs(
    module: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _MAINS[module](shlex.split(options))
    tables = capsys.readouterr().out.strip().split("\n\n")
    page = read("docs/performance.md")
    assert [table for table in tables if f"\n{table}\n" not in page] == []


def test_both_were_run_with_the_same_cpu() -> None:
    (of_model,), (of_prices,) = (
        [re.findall(r"--\w+-ms [\d.]+", options) for module, options in COMMANDS if module == one]
        for one in ("model", "prices")
    )
    assert of_model == of_prices
    assert len(of_model) == 4
