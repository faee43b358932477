"""Reads the fenced blocks of the pages, and what the comment before each of them says."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, and what the comment before it says."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def name(self) -> str:
        """Return where the block stands, for the test's name."""
        return f"{self.page.stem}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Tell a block that tests run from one that says why it is not run."""
        return self.language in ("bash", "python") and not self.mark.startswith("not run: ")

    @property
    def is_slow(self) -> bool:
        """Tell a block that starts Ray or trains for long."""
        return self.mark == "slow"

    @property
    def commands(self) -> list[str]:
        """Return the command lines, with continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of `page`, in order."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["mark"] or "",
            found["text"],
        )
        for found in _BLOCK.finditer(text)
    ]


ALL = [block for page in PAGES for block in blocks(page)]
