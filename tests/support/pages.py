"""The pages of the documentation, as far as tests ask what stands where."""

import re

from infra import ROOT

LINES = re.MULTILINE | re.DOTALL


def read(name: str) -> str:
    return (ROOT / name).read_text()


def section(name: str, title: str) -> str:
    """What stands under the heading `title`, up to the next one of its rank or higher."""
    (found,) = re.findall(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", read(name), LINES)
    return str(found[1])


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table in `text`, those of its headings too."""
    lines = re.findall(r"^\|(?!---).*", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def glossary() -> dict[str, str]:
    """What each word means."""
    _, *entries = read("docs/glossary.md").split("\n## ")
    return {
        word: meaning.strip() for word, _, meaning in (each.partition("\n") for each in entries)
    }


def layout() -> list[str]:
    """Every path in the list of docs/architecture.md, which is indented as the folders are."""
    (listed,) = re.findall(
        r"```\n(.*?)```", section("docs/architecture.md", "Where things are"), LINES
    )
    paths: list[str] = []
    folders: list[str] = []
    for indent, name in re.findall(r"^( *)(\S+)", listed, re.MULTILINE):
        del folders[len(indent) // 2 :]
        paths.append("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
    return paths
