"""What a proof found: a row for each fault, printed as a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

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


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table, and under it every finding."""
    table = Table()
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "fault" else "right")
    for part, of_part in groupby(rows, lambda row: row.part):
        table.add_section()
        table.add_row(f"[bold]{part}[/bold]")
        for row in of_part:
            table.add_row(*row.figures(), style=None if row.holds else "red")
    console.print(table)
    show_findings(rows, console)


def show_findings(rows: Sequence[Row], console: Console) -> None:
    for row in rows:
        for finding in row.findings:
            console.print(f"[red]{row.part}, {row.fault}:[/red] {finding}", highlight=False)


def markdown(rows: Sequence[Row]) -> str:
    """The table as it stands in docs/reliability.md."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|--:|--:|--:|--:|"]
    for part, of_part in groupby(rows, lambda row: row.part):
        lines.append(f"| **{part}** | | | | |")
        lines += [f"| {' | '.join(row.figures())} |" for row in of_part]
    return "\n".join(lines)
