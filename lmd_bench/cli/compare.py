"""Commands that compare methods: on one task, over tasks, over budgets and imbalance factors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.cli.options import RESULTS, OfStudies, Results

if TYPE_CHECKING:
    from lmd_bench.leaderboard.studies.predictions import Clusters

Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="Of what is printed.")]
Lesions = Annotated[
    Path | None,
    typer.Option(
        help="CSV with image_id and a column of lesions or patients; default: those stored."
    ),
]
LesionColumn = Annotated[str, typer.Option(help="That column.")]


def lesions_of(clusters: Path | None, column: str) -> "Clusters | None":
    """Return what the two options ask for; None: the groups that are stored with the logits."""
    from lmd_bench.leaderboard.studies.predictions import Clusters

    return Clusters(clusters, column) if clusters else None


def as_fraction(margin: float | None, metric: str) -> float | None:
    """Return a margin that was typed in points as the metric has it."""
    from lmd_bench.store.metrics import known_metrics

    known = known_metrics().get(metric)
    in_points = known is None or known.percent
    return margin / 100 if margin is not None and in_points else margin


@app.command()
def compare(
    methods: Annotated[list[str], typer.Argument(help="The first is compared with the others.")],
    with_all: Annotated[
        bool, typer.Option("--with-all", help="Compare with every confirmed method of the task.")
    ] = False,
    metric: Annotated[
        str, typer.Option(help="Any of the leaderboard's, or recall:CLASS, such as recall:mel.")
    ] = "balanced_accuracy",
    margin: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Say what is not inferior or equivalent: points (of NLL, Brier, MCC: as it is).",
        ),
    ] = None,
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    study: OfStudies = "",
    format: Format = "table",
) -> None:
    """Compare methods on the same test images: differences, intervals, paired tests, power."""
    from lmd_bench.cli.emit import check_format, emit
    from lmd_bench.experiments.results import open_results

    check_format(format)
    lesions = lesions_of(clusters, cluster_column)
    first, *others = methods
    answer = open_results(results).compare(
        first,
        others,
        with_all=with_all,
        rule=rule,
        clusters=lesions,
        metric=metric,
        margin=as_fraction(margin, metric),
        study=study,
    )
    emit(answer, format)


@app.command()
def ranks(
    results: Results = RESULTS,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder of results whose tasks are ranked with these; repeat."),
    ] = None,
    rule: Rule = "val_balanced_accuracy",
    part: Annotated[
        Literal["methods", "runs", "iqm", "profiles"] | None,
        typer.Option(
            help="What csv holds; runs: method, task, seed and error of each run; iqm and "
            "profiles: over all tasks, run by run.",
            show_default="methods",
        ),
    ] = None,
    study: OfStudies = "",
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    format: Format = "table",
) -> None:
    """Rank methods over data sets and tasks, test them, say how sure a first place is."""
    from lmd_bench.cli.emit import check_part, emit
    from lmd_bench.experiments.results import open_results
    from lmd_bench.leaderboard.ranking import PARTS

    check_part(part, format)
    lesions = lesions_of(clusters, cluster_column)
    emit(
        open_results(results).ranks(rule, study=study, clusters=lesions, also=also or ()),
        format,
        None if part is None else PARTS[part],
    )


@app.command()
def intervals(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    by_class: Annotated[
        bool, typer.Option("--by-class", help="The recall of each class instead.")
    ] = False,
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    study: OfStudies = "",
    format: Format = "table",
) -> None:
    """Show each method's test score with its spread over images, over seeds and over searches."""
    from lmd_bench.cli.emit import check_format, emit
    from lmd_bench.experiments.results import open_results

    check_format(format)
    lesions = lesions_of(clusters, cluster_column)
    answer = open_results(results).intervals(rule, by_class=by_class, clusters=lesions, study=study)
    emit(answer, format)


@app.command()
def tuning(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    against: Annotated[
        Literal["trials", "hours", "gpu_hours", "watt_hours"],
        typer.Option(help="What the curves run over."),
    ] = "trials",
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    format: Format = "table",
) -> None:
    """Show what more trials bring, what tuning gains, and what explains the variance on test."""
    from lmd_bench.cli.emit import check_format, emit
    from lmd_bench.experiments.results import open_results

    check_format(format)
    lesions = lesions_of(clusters, cluster_column)
    emit(open_results(results).tuning(rule, against=against, clusters=lesions), format)


@app.command()
def imbalance(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    metric: Annotated[
        str, typer.Option(help="Such as balanced_accuracy, few_recall, mcc, macro_auc.")
    ] = "balanced_accuracy",
    part: Annotated[
        Literal["curves", "crossings", "ranges", "over-range", "levels", "shares"] | None,
        typer.Option(help="What csv holds.", show_default="curves"),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Points that a method may fall short and be as good.")
    ] = 2.0,
    study: OfStudies = "",
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    format: Format = "table",
) -> None:
    """Show a metric on test against the imbalance factor, where methods cross, robust ranges."""
    from lmd_bench.cli.emit import check_part, emit
    from lmd_bench.experiments.results import open_results
    from lmd_bench.leaderboard.imbalance.text import PARTS

    check_part(part, format)
    answer = open_results(results).imbalance(
        metric,
        rule,
        study=study,
        margin=margin / 100,
        clusters=lesions_of(clusters, cluster_column),
    )
    emit(answer, format, None if part is None else PARTS[part])
