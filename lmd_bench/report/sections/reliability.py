"""Whether confidence can be believed: reliability diagrams on test."""

from lmd_bench.report.blocks import Figure, Picture, Section, Table, Text, count, percent, words
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.confirmed import N_BINS, Confirmed
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.reliability import reliability_chart
from lmd_bench.report.sections._per_task import blocks_of_tasks

_INTRO = (
    f"Test images in {N_BINS} bins of the highest predicted probability, without temperature "
    "scaling, over all retraining seeds of the selected configuration. Each dot is a bin: its mean "
    "confidence against its accuracy, its area the images in it. On the dashed line confidence is "
    "right; below, the classifier is too sure of itself. Bins of fewer than 5 images a run are "
    "grey. ECE is the mean over seeds; by chance, perfectly calibrated probabilities would have "
    "the one beside it on as many images.",
)


def section(context: Context) -> Section | None:
    """Return the diagrams of each task; None where nothing is confirmed."""
    blocks = blocks_of_tasks(context, _figure)
    return Section("Reliability", (Text(_INTRO), *blocks)) if blocks else None


def _figure(context: Context, task: str, judged: list[Confirmed]) -> Figure:
    name = f"reliability-{list(context.tasks).index(task)}"
    return Figure(
        title="Reliability diagrams",
        caption="Accuracy against confidence on test.",
        command=context.redraw("reliability"),
        pictures=tuple(
            _picture(f"{name}-{number}", task, one) for number, one in enumerate(judged)
        ),
        numbers=(_numbers(task, judged),),
        task=task,
        size="small",
    )


def _picture(name: str, task: str, confirmed: Confirmed) -> Picture:
    error = confirmed.calibration_error()
    label = confirmed.study.label
    title = f"Reliability of {label} on {task}"
    bins = confirmed.bins()
    said = ", ".join(
        f"{100 * b.accuracy:.0f} % right at {100 * b.confidence:.0f} % confidence" for b in bins
    )
    svg = reliability_chart(name, title, f"Calibration error {error:.3f}; {said}.", bins)
    chance = f"{100 * confirmed.error_by_chance():.1f} by chance"
    return Picture(svg, f"{label} · ECE {100 * error:.1f} % ({chance})", task, label)


def _numbers(task: str, judged: list[Confirmed]) -> Table:
    rows = [
        table_row(
            words(confirmed.study.label),
            percent(bin.confidence),
            percent(bin.accuracy),
            count(bin.n_images),
            method=confirmed.study.label,
        )
        for confirmed in judged
        for bin in confirmed.bins()
    ]
    heads = table_heads("Method", "Mean confidence, %", "Accuracy, %", "Images, all seeds")
    return Table(f"Bins of confidence, {task}", heads, tuple(rows), task=task)
