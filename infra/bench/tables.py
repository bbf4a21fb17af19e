"""A table of figures: for a person to read, or as the Markdown that stands in the documentation."""

import argparse
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import rich.table
from rich import box
from rich.console import Console

from infra import ROOT

_PAGE = ROOT / "docs/performance.md"
_UPDATE = "--update"
_WIDTH = 120  # of what is no terminal, which has no width


@dataclass(frozen=True)
class Table:
    """Rows below their headings. `texts` are the columns that hold words, and no figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[int, ...] = (0,)

    def as_markdown(self) -> str:
        """The table without its title, which is the text's."""
        return "\n".join([self._head(), *map(_line, self.rows)])

    def put_into(self, page: str) -> str:
        """The page with this table in place of the one that has the same headings. Raises
        ValueError if there is none, or are several."""
        old = re.escape(self._head()) + r"(\n\|.*)*"
        new, found = re.subn(old, lambda _: self.as_markdown(), page)
        if found != 1:
            raise ValueError(f"{found} tables have the headings {', '.join(self.columns)}")
        return new

    def _head(self) -> str:
        return f"{_line(self.columns)}\n|{'---|' * len(self.columns)}"

    def as_rich(self) -> rich.table.Table:
        """The table for a console."""
        table = rich.table.Table(box=box.ROUNDED, title=self.title, title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number in self.texts else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


def add_forms(parser: argparse.ArgumentParser) -> None:
    """Adds the options by which `put_out` knows in which form."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--markdown", action="store_true", help="print what stands in the docs")
    forms.add_argument(_UPDATE, action="store_true", help="put it into docs/performance.md")


def put_out(
    tables: Sequence[Table], command: str, options: Sequence[str], given: argparse.Namespace
) -> None:
    """Prints the tables that `command` with `options` has made, or puts them into the docs."""
    if not given.update:
        show(tables, markdown=given.markdown)
        return
    kept = [option for option in options if option != _UPDATE]
    _PAGE.write_text(updated(_PAGE.read_text(), f"{command} {shlex.join(kept)}".strip(), tables))


def put_into_docs(tables: Iterable[Table]) -> None:
    """Puts each in place of the table of docs/performance.md that has its headings. Raises
    ValueError."""
    page = _PAGE.read_text()
    for table in tables:
        page = table.put_into(page)
    _PAGE.write_text(page)


def show(tables: Iterable[Table], *, markdown: bool) -> None:
    """Prints the tables, with an empty line between them."""
    if markdown:
        print("\n\n".join(table.as_markdown() for table in tables))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    for table in tables:
        console.print(table.as_rich())


def updated(page: str, command: str, tables: Iterable[Table]) -> str:
    """The page with these tables in it, and with the `command` by which they were made, which
    begins with `python -m MODULE`. Raises ValueError where the page has no place for them."""
    module = re.escape(" ".join(command.split()[:3]))
    page, found = re.subn(rf"{module}\b.*--markdown", lambda _: f"{command} --markdown", page)
    if found != 1:
        raise ValueError(f"{command} stands {found} times in the page")
    for table in tables:
        page = table.put_into(page)
    return page


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
