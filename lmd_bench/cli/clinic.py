"""Commands for readers outside of machine learning: what a clinic and a journal ask."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.compare import Format, LesionColumn, Lesions, lesions_of
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.cli.options import RESULTS, Results


@app.command()
def clinic(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Shown by class, threshold and subgroup; the best if not given."),
    ] = None,
    prevalence: Annotated[
        str,
        typer.Option(help="uniform, train, data, or a YAML file of class: share."),
    ] = "uniform",
    shift: Annotated[
        bool, typer.Option("--shift", help="Move the logits from equal priors to that prevalence.")
    ] = False,
    specificity: Annotated[
        float, typer.Option(help="At which the sensitivity for each class is given.")
    ] = 0.9,
    costs: Annotated[
        Path | None, typer.Option(help="YAML of true class: {decided class: cost}; others are 1.")
    ] = None,
    subgroups: Annotated[
        Path | None, typer.Option(help="CSV with image_id and a column of subgroups.")
    ] = None,
    column: Annotated[str, typer.Option(help="That column, such as sex, age or site.")] = "sex",
    part: Annotated[
        Literal["scores", "classes", "decisions", "subgroups"] | None,
        typer.Option(help="What csv holds.", show_default="scores"),
    ] = None,
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    format: Format = "table",
) -> None:
    """Judge at a clinic's prevalence: PPV, NPV, calibration, costs, net benefit, subgroups."""
    from lmd_bench.cli.emit import check_part, emit
    from lmd_bench.experiments.results import open_results
    from lmd_bench.leaderboard.clinic import Use
    from lmd_bench.leaderboard.studies.predictions import Clusters

    check_part(part, format)
    asked = Clusters(subgroups, column) if subgroups else None
    use = Use(prevalence, shift, specificity, costs, asked)
    answer = open_results(results).clinic(
        methods or (), use, rule=rule, clusters=lesions_of(clusters, cluster_column)
    )
    emit(answer, format, part)


@app.command()
def paper(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    out: Annotated[Path | None, typer.Option(help="File to write in place of printing.")] = None,
) -> None:
    """Write a paragraph of methods, the images of each split, and a CLAIM / TRIPOD+AI checklist."""
    from lmd_bench.cli.emit import write
    from lmd_bench.experiments.results import open_results

    write(open_results(results).paper(rule), out)
