"""A results folder and the questions that can be asked of it: the face of the package in Python.

    results = open_results("results/reference/adapter")
    print(results.leaderboard())
    results.compare("lmd", ["crt"]).frame
    results.model("9f3c").predict("new_images").frame

The command line calls the same methods.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import OnEpoch, no_report
from lmd_bench.data.options import DataOptions
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.board import load
from lmd_bench.leaderboard.clinic import Use, clinic
from lmd_bench.leaderboard.compare import compare_methods
from lmd_bench.leaderboard.comparison import comparison
from lmd_bench.leaderboard.ensembles import SHOWN, ensembles, parse_shown
from lmd_bench.leaderboard.imbalance.text import MARGIN, imbalance
from lmd_bench.leaderboard.paper import paper
from lmd_bench.leaderboard.ranking import ranks
from lmd_bench.leaderboard.studies.budget import parse_budget
from lmd_bench.leaderboard.studies.predictions import Clusters
from lmd_bench.leaderboard.studies.read import open_folder, read_rows
from lmd_bench.leaderboard.studies.rules import (
    VAL_BALANCED_ACCURACY,
    SelectionRule,
    rule_named,
)
from lmd_bench.leaderboard.studies.scores import parse_metrics
from lmd_bench.leaderboard.tables.render import Leaderboard
from lmd_bench.leaderboard.tuning import tuning
from lmd_bench.leaderboard.uncertainty import intervals
from lmd_bench.stats.metrics import PRIMARY

if TYPE_CHECKING:
    from lmd_bench.experiments.model.predict import FinalModel

Rule = str | SelectionRule
SplitLogits = tuple[
    tuple[str, ...], Int64[np.ndarray, " images"], Float[np.ndarray, "images classes"]
]
DEFAULT_RULE = VAL_BALANCED_ACCURACY.name


class Results:
    """The results in a folder. Every answer has `.frame`, `.notes` and `.render(format)`.

    Rows are read anew for each question, so a running search can be watched.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a folder of results.

        Args:
            folder: That a search wrote.

        Raises:
            UserError: no results there, or those of another version.
        """
        self.folder = Path(folder)
        self._store = open_folder(self.folder)

    def __repr__(self) -> str:
        """Return how it was opened."""
        return f"Results({str(self.folder)!r})"

    def leaderboard(
        self,
        rule: Rule = DEFAULT_RULE,
        *,
        at_budget: str | None = None,
        metrics: str | Sequence[str] = (),
        study: str = "",
    ) -> Leaderboard:
        """Return the methods of each task by mean test balanced accuracy over retraining seeds.

        Args:
            rule: What selects the configuration of each study.
            at_budget: What each study may have cost: `10` (trials), `4h`, `4gpuh` or `2kwh`;
                None: all.
            metrics: To show in place of the usual ones; `all`: every one.
            study: Studies whose id does not hold this text are left out.

        Raises:
            UserError: no such rule, budget, metric or study, or no results that can be read.
        """
        budget = None if at_budget is None else parse_budget(at_budget)
        wanted = metrics if isinstance(metrics, str) else ",".join(metrics)
        names = parse_metrics(wanted) if metrics else ()
        return load(self.folder, rule_named(rule), budget, names, study)

    def ensembles(
        self,
        rule: Rule = DEFAULT_RULE,
        shown: Sequence[str] = SHOWN,
        *,
        at_budget: str | None = None,
    ) -> Answer:
        """Return single runs, each method's seeds together, and runs of several methods together.

        Args:
            rule: What selects the configuration of each study.
            shown: Of `single`, `seeds` and `ensemble`.
            at_budget: What each study may have cost: `10` (trials), `4h`, `4gpuh` or `2kwh`;
                None: all.

        Raises:
            UserError: no such rule, line or budget, or no logits of val and test.
        """
        budget = None if at_budget is None else parse_budget(at_budget)
        chosen = rule_named(rule)
        store, rows = read_rows(self.folder, chosen)
        return ensembles(store, rows, chosen, parse_shown(",".join(shown)), budget)

    def compare(
        self,
        method: str,
        others: str | Sequence[str] | None = None,
        *,
        with_all: bool = False,
        rule: Rule = DEFAULT_RULE,
        clusters: Clusters | None = None,
        metric: str = PRIMARY.name,
        margin: float | None = None,
        study: str = "",
    ) -> Answer:
        """Return a method against others on the same test images and seeds.

        Args:
            method: That the others are compared with.
            others: A method or several; None: every other confirmed method of each task.
            with_all: Every other confirmed method, those of `others` first.
            rule: What selects the configuration of each study.
            clusters: Lesions or patients of the images; None: those stored with the logits.
            metric: That is compared: any of the leaderboard's, or `recall:CLASS`.
            margin: Difference that does not matter, a fraction where the metric is one; None: no
                word on non-inferiority and equivalence.
            study: Studies whose id does not hold this text are left out.

        Raises:
            UserError: unknown methods, or none that was confirmed on one task.
        """
        names = [method, *([others] if isinstance(others, str) else others or ())]
        chosen = rule_named(rule)
        tasks = compare_methods(
            self.folder,
            names,
            with_all=with_all or others is None,
            rule=chosen,
            clusters=clusters,
            metric=metric,
            study=study,
        )
        return comparison(tasks, chosen, margin)

    def intervals(
        self,
        rule: Rule = DEFAULT_RULE,
        *,
        by_class: bool = False,
        clusters: Clusters | None = None,
        study: str = "",
    ) -> Answer:
        """Return each method's score on test with its spread over images, seeds and searches.

        Args:
            rule: What selects the configuration of each study.
            by_class: The recall of each class instead.
            clusters: Lesions or patients of the images; None: those stored with the logits.
            study: Studies whose id does not hold this text are left out.

        Raises:
            UserError: no such rule, or no logits of test.
        """
        chosen = rule_named(rule)
        store, rows = read_rows(self.folder, chosen)
        return intervals(store, rows, chosen, by_class=by_class, clusters=clusters, study=study)

    def clinic(
        self,
        methods: Sequence[str] = (),
        use: Use | None = None,
        *,
        rule: Rule = DEFAULT_RULE,
        clusters: Clusters | None = None,
    ) -> Answer:
        """Return scores at a prevalence, PPV, NPV, calibration, costs, decisions and subgroups.

        Args:
            methods: Shown by class, threshold and subgroup; none: the best of each task.
            use: How the classifiers are to be used; None: at equal prevalence.
            rule: What selects the configuration of each study.
            clusters: Lesions or patients of the images; None: those stored with the logits.

        Raises:
            UserError: an unknown method, a file that cannot be used, or no logits of test.
        """
        chosen = rule_named(rule)
        store, rows = read_rows(self.folder, chosen)
        return clinic(store, rows, chosen, use or Use(), methods, clusters)

    def paper(self, rule: Rule = DEFAULT_RULE) -> str:
        """Return Markdown for a paper: methods in words, images of each split, a checklist.

        Args:
            rule: What selects the configuration of each study.

        Raises:
            UserError: no such rule, or nothing is confirmed.
        """
        chosen = rule_named(rule)
        return paper(*read_rows(self.folder, chosen), chosen)

    def ranks(
        self,
        rule: Rule = DEFAULT_RULE,
        *,
        clusters: Clusters | None = None,
        study: str = "",
        also: Sequence[str | Path] = (),
    ) -> Answer:
        """Return the ranks of methods over data sets, and how sure each first place is.

        Args:
            rule: What selects the configuration of each study.
            clusters: Lesions or patients of the images; None: those stored with the logits.
            study: Studies whose id does not hold this text are left out.
            also: Other folders of results, whose tasks are ranked with these.

        Raises:
            UserError: no such rule, study or folder, no method with a score on every task, or two
                outcomes of one trial.
        """
        chosen = rule_named(rule)
        return ranks(*read_rows(self.folder, chosen, also), chosen, clusters, study)

    def tuning(
        self,
        rule: Rule = DEFAULT_RULE,
        *,
        against: str = "trials",
        clusters: Clusters | None = None,
    ) -> Answer:
        """Return what more trials bring, what tuning gains, and what explains the variance.

        Args:
            rule: What selects the configuration of each study.
            against: What is spent: trials, hours, gpu_hours or watt_hours.
            clusters: Lesions or patients of the images; None: those stored with the logits.

        Raises:
            UserError: no such rule or unit, or nothing has cost any of it.
        """
        chosen = rule_named(rule)
        return tuning(*read_rows(self.folder, chosen), chosen, against, clusters)

    def imbalance(
        self,
        metric: str = "balanced_accuracy",
        rule: Rule = DEFAULT_RULE,
        *,
        study: str = "",
        only: Collection[str] | None = None,
        margin: float = MARGIN,
        clusters: Clusters | None = None,
    ) -> Answer:
        """Return a metric on test against the imbalance factor, crossings and robust ranges.

        Args:
            metric: Of the text, the crossings and the ranges; the curves hold all metrics.
            rule: What selects the configuration of each study.
            study: Studies whose id does not hold this text are left out.
            only: Ids of the studies that count; None: all.
            margin: That a method may fall short of the best and be as good; a fraction.
            clusters: Lesions or patients of the images; None: those stored with the logits.

        Raises:
            UserError: no such metric or rule, or nothing is confirmed.
        """
        chosen = rule_named(rule)
        store, rows = read_rows(self.folder, chosen)
        return imbalance(
            store,
            rows,
            chosen,
            metric,
            margin=margin,
            study=study,
            only=only,
            clusters=clusters,
        )

    def model(self, key: str, *, refit: bool = False) -> "FinalModel":
        """Return the model that a confirmed run keeps, to be asked about images.

        Args:
            key: Of the run, or its beginning.
            refit: The one that was trained on train and val with the run's configuration.

        Raises:
            UserError: no such run, or it keeps no model.
        """
        from lmd_bench.experiments.model.predict import final_model

        return final_model(self._store, key, refit=refit)

    def refit(self, key: str, *, on_epoch: OnEpoch = no_report, **options: Any) -> "FinalModel":
        """Return the model of a run's configuration trained on train and val; trained once.

        Nothing is selected and test stays closed, so no metric of it is known.

        Args:
            key: Of the run, or its beginning.
            on_epoch: Is told of each epoch.
            options: Those of `DataOptions`: data_root, images_csv, ...

        Raises:
            UserError: no such run or option, or other data than those of the run.
        """
        from lmd_bench.experiments.model.refit import refit

        return refit(self._store, key, from_keywords(DataOptions, options).source(), on_epoch)

    def evaluate(
        self,
        keys: Sequence[str],
        dataset: str | None = None,
        *,
        class_map: str | Path | None = None,
        own_root: str | Path | None = None,
        seed: int = 0,
        on_done: Callable[[int, int], None] = lambda done, total: None,
        **options: Any,
    ) -> Answer:
        """Judge confirmed models on another data set, or on corrupted test images.

        Nothing is trained. Rows of phase `external` or `corrupted` are kept, and read when they are
        asked for again.

        Args:
            keys: Of confirmed runs, or of search rows for all that confirm them.
            dataset: The other data set; None: their own test images, corrupted in five ways.
            class_map: YAML, class of the other data set: class of the model.
            own_root: Folder of the runs' own data, whose images are left out of the other.
            seed: Of the draws of corruptions.
            on_done: Is told of images that are judged, and of all.
            options: Those of `DataOptions`: data_root, images_csv, ...

        Raises:
            UserError: no such run, data set or option, or images that the runs cannot be judged on.
        """
        from lmd_bench.experiments.evaluation.corruption import evaluate_corrupted
        from lmd_bench.experiments.evaluation.external import evaluate_external

        source = from_keywords(DataOptions, options).source()
        if dataset is None:
            return evaluate_corrupted(self._store, keys, source, seed=seed, on_done=on_done)
        return evaluate_external(
            self._store,
            keys,
            dataset,
            source,
            class_map=None if class_map is None else Path(class_map),
            own_root=None if own_root is None else Path(own_root),
            on_done=on_done,
        )

    def rows(self) -> pd.DataFrame:
        """Return all rows, one for each trial or run; the results page lists the columns."""
        return self._store.frame()

    def logits(self, key: str) -> dict[str, SplitLogits]:
        """Return image ids, labels and logits of each split of a row; empty where none were kept.

        Args:
            key: Of the row, or its beginning.

        Raises:
            UserError: no such row, several, or damaged logits.
        """
        return dict(self._store.read_logits(self._store.find(key)["key"]))


def open_results(folder: str | Path) -> Results:
    """Return the results in a folder.

    Raises:
        UserError: no results there, or those of another version.
    """
    return Results(folder)
