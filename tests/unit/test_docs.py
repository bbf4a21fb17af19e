"""What the documentation must not forget."""

import re
from pathlib import Path

import pytest

from functions.calls.signals import RULES, Rule
from functions.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("variable", [variable.name for variable in VARIABLES])
def test_every_setting_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in read("docs/settings.md")


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_signal_and_its_event_are_documented(rule: Rule) -> None:
    text = read("docs/protocol.md")
    names = [rule.signal, rule.event, rule.default_reason]
    for name in names + ([rule.push.type] if rule.push else []):
        assert f"`{name}`" in text


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) < 120
