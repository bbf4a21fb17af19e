"""A table of figures: for a person to read, or as the Markdown that stands in the documentation."""

from collections.abc import Iterable
from dataclasses import dataclass

import rich.table
from rich import box
from rich.console import Console

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
        rule = "---|" * len(self.columns)
        lines = [_line(self.columns), f"|{rule}", *map(_line, self.rows)]
        return "\n".join(lines)

    def as_rich(self) -> rich.table.Table:
        """The table for a console."""
        table = rich.table.Table(box=box.ROUNDED, title=self.title, title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number in self.texts else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


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


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
