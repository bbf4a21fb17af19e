"""What the documentation must not forget."""

import re
import subprocess
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from functions.calls.transitions import TRANSITIONS, Transition
from functions.settings import every_variable
from functions.variables import Variable

UNITS = {"_SECONDS": "seconds", "_MS": "milliseconds", "_DAYS": "days"}
ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("variable", [variable.name for variable in every_variable()])
def test_every_setting_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in read("docs/settings.md")


@pytest.mark.parametrize("variable", every_variable(), ids=lambda variable: variable.name)
def test_every_default_is_the_documented_one(variable: Variable) -> None:
    row = next(line for line in read("docs/settings.md").splitlines() if variable.name in line)
    documented = row.split("|")[4].strip().strip("`")
    match variable.default:
        case None:
            assert documented == ""
        case timedelta() as default:
            unit = next(name for end, name in UNITS.items() if variable.name.endswith(end))
            assert timedelta(**{unit: float(documented)}) == default
        case default:
            assert documented == default


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.signal)
def test_every_signal_and_its_events_are_documented(row: Transition) -> None:
    text = read("docs/protocol.md")
    pushes = [notice.push.type for notice in row.notices if notice.push]
    events = [notice.event for notice in row.notices]
    for name in [row.signal, row.default_reason, *events, *pushes]:
        assert f"`{name}`" in text


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) < 120


@pytest.mark.parametrize(
    "snippet", re.findall(r"```sh\n(.*?)```", read("docs/operations.md"), re.DOTALL)
)
def test_what_is_to_be_typed_is_well_formed_and_names_what_there_is(snippet: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=snippet, text=True, capture_output=True)  # noqa: S607
    assert not checked.stderr
    for path in re.findall(r"\b(?:infra|tests|docs|functions)/[\w./-]+", snippet):
        assert (ROOT / path).exists() or path == "infra/cloud/production.tfvars", path
    for module in re.findall(r"-m (infra[\w.]*)", snippet):
        assert find_spec(module), module
    for target in re.findall(r"^make (\w+)", snippet, re.MULTILINE):
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target


def test_every_alert_is_explained() -> None:
    titles = re.findall(r"^      title    = \"(.+)\"$", read("infra/cloud/alerts.tf"), re.MULTILINE)
    assert len(titles) == 7
    for title in titles:
        assert f"| {title} |" in read("docs/operations.md")
