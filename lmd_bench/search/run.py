"""Runs a search: Ray Tune drives the queue on a cluster until nothing is left."""

import logging
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from lmd_bench import hardware
from lmd_bench.errors import UserError
from lmd_bench.hardware import Slots
from lmd_bench.results import open_store
from lmd_bench.search.cluster import cluster, prepare_environment
from lmd_bench.search.progress import Display, make_display
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.request import SearchRequest

if TYPE_CHECKING:
    from lmd_bench.search.searcher import QueueSearcher

MOST_DEATHS = 3  # of Tune in a row without a finished trial
