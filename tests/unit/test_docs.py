"""What the documentation must not forget."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from functions.dialect.dialect import Dialect
from functions.settings import every_variable
from functions.variables import Variable
from infra import ROOT
from infra.emulators.faults import Kind
from tests.proof.variants import NAMES
from tests.simulation.variants import VARIANTS
from tests.support.pages import glossary, read, rows, section

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
UNITS = {"_SECONDS": "seconds", "_MS": "milliseconds", "_DAYS": "days"}


@pytest.mark.parametrize("variable", [variable.name for variable in every_variable()])
def test_every_setting_is_documented(variable: str) -> None:
    assert f"| `{variable}` |" in read("docs/settings.md")


@pytest.mark.parametrize("variable", list(every_variable()), ids=lambda variable: variable.name)
def test_every_default_is_the_documented_one(variable: Variable) -> None:
    named = f"| `{variable.name}` |"
    row = next(line for line in read("docs/settings.md").splitlines() if line.startswith(named))
    documented = row.split("|")[4].strip().strip("`")
    match variable.default:
        case None:
            assert documented == ""
        case timedelta() as default:
            unit = next(name for end, name in UNITS.items() if variable.name.endswith(end))
            assert timedelta(**{unit: float(documented)}) == default
        case tuple() as default:
            assert documented == ",".join(default)
        case Dialect():
            assert documented == ""
        case default:
            assert documented == str(default)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"(?:\]\(|\bsrc(?:set)?=\")([^)#\"]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_word_that_the_protocol_introduces_is_in_the_glossary() -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", read("docs/protocol.md"), flags=re.DOTALL)
    introduced = re.findall(r"(?<![*\w])\*([^*\n]+)\*(?!\*)", prose)
    assert len(introduced) > 15
    assert [word for word in introduced if word not in glossary()] == []


def test_the_glossary_says_of_each_word_in_one_sentence_what_it_means() -> None:
    words = list(glossary())
    assert words == sorted(words, key=str.casefold)
    for word, meaning in glossary().items():
        assert re.fullmatch(r"[^\n]+[.…]", meaning), word
        assert not re.search(r"\. [A-Z]", meaning), word


def test_the_glossary_explains_only_words_that_are_used() -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "glossary.md"]
    texts = [page.read_text() for page in [*pages, *(ROOT / "functions").rglob("*.py")]]
    used = " ".join(re.findall(r"\w+", " ".join(texts).lower()))
    for word in glossary():
        phrase = " ".join(re.findall(r"\w+", word.lower()))
        assert re.search(rf"\b{phrase}s?\b", used), word


def test_every_decision_is_in_the_index_newest_first() -> None:
    folder = ROOT / "docs/decisions"
    decisions = {page.name for page in folder.glob("*.md")} - {"README.md"}
    indexed = re.findall(r"\]\((.+?\.md)\)", read("docs/decisions/README.md"))
    assert set(indexed) == decisions
    dates = [name[: len("2026-11-22")] for name in indexed]
    assert dates == sorted(dates, reverse=True)


def test_every_kind_of_fault_is_in_the_table_of_kinds() -> None:
    table = [kinds for kinds, *_ in rows(section("docs/local.md", "Breaking it"))]
    listed = set(re.findall(r"`(\w+)`", " ".join(table)))
    assert listed == {kind.name for kind in Kind}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whatever_is_python_can_be_pasted_into_a_file(page: Path) -> None:
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(snippet, page, "exec")


def test_every_broken_variant_is_listed_with_what_sees_it() -> None:
    table = rows(section("docs/reliability.md", "How it was broken"))
    ends = {row[0]: set(row[-1].split(", ")) for row in table}
    listed = {name: by for name, by in ends.items() if by <= {"proof", "simulation"}}
    simulated = {variant.__name__.replace("_", " ") for variant in VARIANTS}
    proven = {name.replace("-", " ") for name in NAMES}
    assert {name for name, seen_by in listed.items() if "simulation" in seen_by} == simulated
    assert {name for name, seen_by in listed.items() if "proof" in seen_by} == proven


def test_the_tables_of_logs_have_every_message_and_no_other() -> None:
    logged = {message for path in (ROOT / "functions").rglob("*.py") for message in logged_by(path)}
    assert len(logged) > 20
    table = [messages for _, messages, _ in rows(section("docs/architecture.md", "Logs"))]
    assert logged == set(re.findall(r"`([^`]+)`", " ".join(table))) - {"message"}


def logged_by(path: Path) -> Iterator[str]:
    """The messages that a module logs, as far as it says them where it logs them."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log")),
                args=[ast.Constant(value=str(message))],
            ):
                yield message


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) < 120


def test_contributors_are_told_of_what_there_is() -> None:
    text = read("CONTRIBUTING.md")
    for path in re.findall(r"`((?:functions|infra|tests|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target


def test_every_alert_is_explained() -> None:
    alerts = read("infra/cloud/modules/unring/alerts.tf")
    titles = re.findall(r"^      title    = \"(.+)\"$", alerts, re.MULTILINE)
    assert len(titles) == 15
    for title in titles:
        assert f"| {title} |" in read("docs/operations.md")
