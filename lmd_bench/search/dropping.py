"""Encoders that a search needs no more, dropped as its studies end."""

from collections.abc import Callable

from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import JobQueue
from lmd_bench.store.cleaning import drop_encoders


class Dropper:
    """Drops the encoders of representation studies that have ended."""

    def __init__(self, queue: JobQueue, alone: Callable[[], bool]) -> None:
        """Follow `queue`.

        Args:
            queue: Whose request says what is kept.
            alone: Says whether no other search works in this folder, which might ask for them.
        """
        self._queue = queue
        self._alone = alone
        self._handled: set[str] = set()

    def __call__(self) -> None:
        """Drop what studies that have ended since the last call leave."""
        if self._queue.request.keep_encoders == "all":
            return
        for id, study in self._queue.studies.items():
            if id not in self._handled and study.done and study.spec.stands_on is None:
                self._handled.add(id)
                if self._alone():
                    drop_encoders(self._queue.request.results, self._unneeded(study))

    def at_end(self) -> None:
        """Drop what a finished search leaves where nothing is to be kept."""
        queue = self._queue
        if queue.request.keep_encoders == "none" and queue.finished and self._alone():
            rows = [row for study in queue.studies.values() for row in study.rows]
            keys = {row.get("encoder_key", "") for row in (*rows, *queue.retrained.values())}
            drop_encoders(queue.request.results, keys)

    def _unneeded(self, study: Study) -> set[str]:
        offered = {encoder.rank for encoder in study.ranked_encoders()[: self._queue.request.top_k]}
        needed = self._queue.encoders_to_come()
        for encoder in study.ranked_encoders():
            if encoder.rank in offered or encoder.is_default:
                config = {**study.spec.default, **encoder.config}
                levels = range(study.spec.n_levels)
                needed |= {study.spec_of(config, level).encoder_key for level in levels}
        for other in self._queue.studies.values():
            if other.spec.stands_on == study.spec.id:
                needed |= {str(row.get("encoder_key", "")) for row in other.rows}
        return {str(row.get("encoder_key", "")) for row in study.rows} - needed
