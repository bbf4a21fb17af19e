"""The page's files, and nothing else."""

from pathlib import Path

import pytest

from infra.local.console.files import file

NOWHERE = ("../outside.html", "parts/../index.html", "./index.html", "parts", "notes.md", "README")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    page = tmp_path / "page"
    (page / "parts").mkdir(parents=True)
    for name in ("index.html", "main.js", "parts/more.css", "notes.md", "README"):
        (page / name).write_text(name)
    (tmp_path / "outside.html").write_text("outside")
    return page


@pytest.mark.parametrize(
    ("path", "name", "type"),
    [
        ("", "index.html", "text/html"),
        ("index.html", "index.html", "text/html"),
        ("main.js", "main.js", "text/javascript"),
        ("parts/more.css", "parts/more.css", "text/css"),
    ],
)
def test_a_file_is_found_by_its_name(folder: Path, path: str, name: str, type: str) -> None:
    answer = file(path, folder)
    assert (answer.status_code, bytes(answer.body).decode()) == (200, name)
    assert answer.headers["content-type"].startswith(type)


@pytest.mark.parametrize("path", NOWHERE)
def test_nothing_else_is_found(folder: Path, path: str) -> None:
    assert file(path, folder).status_code == 404


def test_no_absolute_path_is_found(folder: Path) -> None:
    assert file(str(folder.parent / "outside.html"), folder).status_code == 404
    assert file(str(folder / "index.html"), folder).status_code == 404
