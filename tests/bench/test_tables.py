"""A table of figures, in both of its forms."""

import pytest

from infra.bench.tables import Table, show

TABLE = Table("Cancels", ("", "p50"), (("ours", "7 ms"), ("theirs", "8 ms")))


def test_markdown_has_a_row_for_the_headings_and_one_for_each_row() -> None:
    assert TABLE.as_markdown().splitlines() == [
        "|  | p50 |",
        "|---|---|",
        "| ours | 7 ms |",
        "| theirs | 8 ms |",
    ]


def test_tables_in_markdown_are_kept_apart_by_an_empty_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([TABLE, TABLE], markdown=True)
    assert capsys.readouterr().out == f"{TABLE.as_markdown()}\n\n{TABLE.as_markdown()}\n"


def test_a_person_is_shown_the_same_cells_below_a_title(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([TABLE], markdown=False)
    shown = capsys.readouterr().out
    cells = ["Cancels", *TABLE.columns, *(cell for row in TABLE.rows for cell in row)]
    assert [cell for cell in cells if cell not in shown] == []
