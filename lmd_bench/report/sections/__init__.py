"""The sections of the report, one file each, in the order of `NAMES`.

A section is a module with a function `section(context) -> Section | None`; None leaves it out. To
add one: put the file here and its name into `NAMES`.
"""

NAMES = (
    "summary",
    "leaderboard",
    "over_tasks",
    "budget",
    "imbalance",
    "over_range",
    "ablations",
    "classes",
    "confusion",
    "reliability",
    "elsewhere",
    "importance",
    "trials",
    "failures",
    "provenance",
)
