"""A table of figures, in both of its forms."""

from dataclasses import replace

import pytest

from infra.bench.tables import Table, show, updated

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


PAGE = f"""By `python -m infra.bench.x --ms 1 --markdown`:

{TABLE.as_markdown()}

|  | p99 |
|---|---|
| ours | 9 ms |
"""


def test_a_page_is_updated_in_the_table_with_the_same_headings_and_in_the_command() -> None:
    newer = replace(TABLE, rows=(("ours", "6 ms"),))
    page = updated(PAGE, "python -m infra.bench.x --ms 2", [newer])
    assert page == PAGE.replace("--ms 1", "--ms 2").replace(
        TABLE.as_markdown(), newer.as_markdown()
    )


def test_a_page_without_a_place_for_a_table_or_the_command_is_refused() -> None:
    other = replace(TABLE, columns=("", "p90"))
    with pytest.raises(ValueError, match="p90"):
        updated(PAGE, "python -m infra.bench.x", [other])
    with pytest.raises(ValueError, match="0 times"):
        updated(PAGE, "python -m infra.bench.y", [TABLE])
    with pytest.raises(ValueError, match="2 tables"):
        TABLE.put_into(PAGE + PAGE)
