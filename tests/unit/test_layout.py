"""The layout in docs/architecture.md is the layout."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import ROOT
from tests.support.pages import layout

UNIT = ROOT / "tests/unit"


def folders_in(path: Path) -> Iterator[Path]:
    folders = (each for each in path.iterdir() if each.is_dir() and each.name != "__pycache__")
    return (each for each in folders if any(each.glob("[!_.]*")))  # git leaves an empty one behind


def test_every_file_of_the_functions_is_in_the_layout() -> None:
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "functions").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert files <= set(layout())


@pytest.mark.parametrize("parent", ["infra", "tests"])
def test_every_folder_of_infra_and_of_the_tests_is_in_the_layout(parent: str) -> None:
    folders = {f"{path.relative_to(ROOT)}/" for path in folders_in(ROOT / parent)}
    assert len(folders) > 4
    assert folders <= set(layout())


@pytest.mark.parametrize("path", layout())
def test_what_is_in_the_layout_is_there(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_the_unit_tests_lie_as_the_functions_do() -> None:
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    assert len(folders) > 5
    assert [each for each in folders if not (ROOT / "functions" / each).is_dir()] == []
