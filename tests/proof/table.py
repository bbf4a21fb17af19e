"""What a proof found: a row for each fault, printed as a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

COLUMNS = ("fault", "tried", "lost", "duplicated", "wrong")


@dataclass(slots=True)
class Row:
    """How often one fault was tried, and what came of it.

    `lost`: somebody who should know was not told. `duplicated`: somebody was told more than once.
    `wrong`: anything else that may not be; `findings` has a sentence for each lost or wrong one.
    """

    part: str  # of the proof: its heading in the table
    fault: str
    tried: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and nothing wrong. Duplicates may be: each row says how many."""
        return not (self.lost or self.wrong)

    def figures(self) -> tuple[str, ...]:
        numbers = (self.tried, self.lost, self.duplicated, self.wrong)
        return (self.fault, *(f"{number:,}" for number in numbers))


def show(rows: Iterable[Row], console: Console) -> None:
    """Prints the table, and under it every finding."""
    table = Table(*COLUMNS[:1], title_justify="left")
    for name in COLUMNS[1:]:
        table.add_column(name, justify="right")
    part = None
    rows = list(rows)
    for row in rows:
        if row.part != part:
            part = row.part
            table.add_section()
            table.add_row(f"[bold]{part}[/bold]")
        table.add_row(*row.figures(), style=None if row.holds else "red")
    console.print(table)
    for row in rows:
        for finding in row.findings:
            console.print(f"[red]{row.part}, {row.fault}:[/red] {finding}", highlight=False)
