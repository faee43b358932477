"""Where the models lie that runs keep, and what they stand on; `training.kept` reads them."""

import json
from pathlib import Path

FOLDER = "models"  # of a results folder
REFIT = "-refit"  # after the key: trained on train and val


def kept_models(root: Path, key: str) -> list[Path]:
    """Return the folders of what a run kept: its model, and the one trained on val too."""
    # Asked for by name: a merge asks for every row, and a listing would grow with all of them.
    folders = [root / FOLDER / name for name in (key, key + REFIT)]
    return [folder for folder in folders if folder.is_dir()]


def encoder_of_model(folder: Path) -> str:
    """Return the key of the stored encoder that a kept model stands on, or ""."""
    return str(_facts(folder / "model.json").get("encoder_key") or "")


def _facts(path: Path) -> dict[str, object]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
