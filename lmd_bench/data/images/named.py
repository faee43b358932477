"""The image files that a person names: files, folders at any depth, or a CSV that lists them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.file_names import check_utf8
from lmd_bench.data.image_suffixes import SUFFIXES

_LISTS = frozenset({".csv", ".tsv"})


def named_images(paths: Sequence[Path], image_column: str | None = None) -> list[tuple[str, Path]]:
    """Return an id and a file for each image that is named, in order.

    The id of a file is its path as it was given, that of an image in a folder its path below it,
    and that of a line of a CSV what its column says, which is a path from the CSV's folder, with or
    without the ending of an image.

    Args:
        paths: files, folders and CSVs.
        image_column: of the CSVs; their first column if not given.

    Raises:
        UserError: a path that is not there, a folder without images, or a CSV that cannot be read.
    """
    images = [image for path in paths for image in _images(path, image_column)]
    for _, file in images:
        check_utf8(file)
    return images


def _images(path: Path, image_column: str | None) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not files:
            raise UserError(
                f"{path} holds no images; their endings are {', '.join(sorted(SUFFIXES))}."
            )
        yield from ((file.relative_to(path).as_posix(), file) for file in files)
    elif path.suffix.lower() in _LISTS:
        rows = read_rows(
            path,
            [image_column] if image_column else (),
            how_to_get="Name a CSV that lists images, or images themselves.",
            mend="mend the file, or name its column of images",
        )
        column = image_column or next(iter(rows[0]))
        yield from ((row[column], _file(path.parent, row[column])) for row in rows)
    elif path.exists():
        yield str(path), path
    else:
        raise UserError(f"{path} does not exist; name image files, folders of them, or a CSV.")


def _file(folder: Path, name: str) -> Path:
    """Return the file of a line; where none is there the name itself, which cannot be read."""
    file = folder / name
    if file.is_file():
        return file
    with_ending = (folder / f"{name}{suffix}" for suffix in sorted(SUFFIXES))
    return next((path for path in with_ending if path.is_file()), file)
