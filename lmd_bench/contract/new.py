"""Writes the files of a new plug-in: one that works, to be changed into one's own."""

from collections.abc import Sequence
from pathlib import Path

from lmd_bench.contract import templates
from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.outside import KINDS, Kind


def write_plugin(kind: Kind, name: str, folder: Path) -> Sequence[Path]:
    """Write a plug-in, its search space where it has one, and its test; return the files.

    Args:
        kind: Of the plug-in.
        name: Of the plug-in, free and of lower-case letters, digits and underscores.
        folder: Where they go.

    Raises:
        UserError: a name that is not possible, or a file that is there already.
    """
    if not name.isidentifier() or name != name.lower() or name.startswith(("_", "test_")):
        raise UserError(
            f"A plug-in cannot be called '{name}'; take lower-case letters, digits and "
            "underscores, with a letter first, and not test_."
        )
    for other in KINDS:
        if name in plugins.names(other):
            raise UserError(f"There is a {other.removesuffix('s')} '{name}'; take another name.")
    source = Path(templates.__file__).parent
    template = kind.removesuffix("s")
    files = {
        folder / f"{name}.py": source / f"{template}.py",
        folder / f"{name}.yaml": source / f"{template}.yaml",
        folder / f"test_{name}.py": source / "tests.txt",
    }
    texts = {
        file: _filled(model.read_text("utf-8"), kind, name)
        for file, model in files.items()
        if model.is_file()
    }
    # All before any, so that nothing is half written.
    for file in texts:
        if file.exists():
            raise UserError(f"{file} is there already; take another name or another folder.")
    for file, text in texts.items():
        file.write_text(text, "utf-8")
    return tuple(texts)


def _filled(text: str, kind: Kind, name: str) -> str:
    camel = "".join(part.capitalize() for part in name.split("_"))
    text = text.replace("template_name", name).replace("TemplateName", camel)
    return text.replace('checks("calibration"', f'checks("{kind}"')
