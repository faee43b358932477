from rich import box
from rich.console import Console
from rich.table import Table

from lmd_bench.leaderboard.tables.text import text_table

HEADERS = ["Method", "Bal. acc.\ntuned", "Few"]
ROWS = [
    ["crt", "50.0 ± 1.0", "–"],
    ["cross_entropy [a-study-with-a-long-name/cross_entropy/10ep]", "7.0", "100.0"],
    ["größer", "12.5", "3.0"],
]


def by_rich(gap: int) -> list[str]:
    """Return the same table as rich lays it out."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
    table.add_column(HEADERS[0], overflow="fold", max_width=24)
    for header in HEADERS[1:]:
        table.add_column(header, justify="right", no_wrap=True)
    for row in ROWS:
        table.add_row(*row)
    console = Console(width=80, markup=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_is_laid_out_as_rich_does() -> None:
    for gap in (1, 2):
        own = [
            line.rstrip() for line in text_table(HEADERS, ROWS, gap=gap, first_width=24, width=80)
        ]
        assert own == by_rich(gap)


def test_a_narrow_terminal_folds_the_first_column() -> None:
    lines = text_table(HEADERS, ROWS, gap=1, first_width=24, width=30)
    assert max(map(len, lines)) == 30


def test_a_long_name_is_broken_between_its_stages() -> None:
    rows = [["balanced_softmax+logistic_regression", "57.9 ± 0.5 [53.0, 62.8]"]]
    lines = text_table(["Method", "Bal. acc."], rows, width=46)
    assert [line.split()[0] for line in lines[2:]] == ["balanced_softmax+", "logistic_regression"]
