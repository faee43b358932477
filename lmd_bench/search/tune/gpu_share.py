"""`--gpus-per-trial auto`: the share of a GPU that the largest trial of a search needs."""

from collections.abc import Iterator
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution

from lmd_bench.core import paths
from lmd_bench.core.schema import Config, Scalar, TrialContext, TrialSpec, content_hash
from lmd_bench.methods.space import Space
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.staging import study_specs

AUTO = "auto"
MOST_A_GPU = 4  # trials, where their share is measured
_SIZES = ("training.batch_size", "training.backbone")  # of these the largest takes most memory


def largest_config(default: Config, space: Space) -> dict[str, Scalar]:
    """Return the default config with the largest batch and backbone of a space."""
    config = dict(default)
    for key in _SIZES:
        match space.get(key):
            case IntDistribution(high=high):
                config[key] = high
            case CategoricalDistribution(choices=choices):
                names = [choice for choice in choices if choice is not None]
                config[key] = max(names, key=lambda name: (len(str(name)), str(name)))
            case _:
                pass  # not searched
    return config


def probes(request: SearchRequest) -> Iterator[tuple[TrialSpec, TrialContext]]:
    """Yield the largest trial of each stage 1 at each image size."""
    seen: set[str] = set()
    # Stage 1 takes far more memory than stage 2, so calibration studies are not measured; nor is
    # the same stage 1 twice, whatever stands on it.
    for study in study_specs(request):
        config = largest_config(study.default, study.space)
        name = study.method.representation
        shape = content_hash([name, study.task.dataset, study.task.image_size, config])
        if study.stands_on is None and shape not in seen:
            seen.add(shape)
            source = paths.located(study.task.dataset, request.source)
            yield study.trial(config), TrialContext(request.results, source, device="cuda")


def find_share(request: SearchRequest) -> float:
    """Return the least 1 / k of a GPU in which every trial fits; needs Ray and a GPU in it."""
    import ray
    from ray.exceptions import RayError

    from lmd_bench.training.memory import even_share, measure

    # A process of its own for each (`max_calls`): memory that torch keeps would count for the next.
    ask: Any = ray.remote(num_gpus=1, max_calls=1, max_retries=0)(measure)
    asked = [ask.remote(*probe) for probe in probes(request)]

    def share_of(answer: Any) -> float:
        # What does not fit alone, or fails, gets a whole GPU and is a row of the search.
        try:
            return ray.get(answer)
        except RayError:
            return 1.0

    # Trials share a GPU's cores too, so more than a few of them only wait for one another.
    return max(even_share(max(map(share_of, asked), default=1.0)), 1.0 / MOST_A_GPU)
