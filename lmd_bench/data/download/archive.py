"""Unpacks a zip from elsewhere: nothing leaves its folder, nothing swells beyond what it says."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from lmd_bench.core.errors import DiskError, UserError
from lmd_bench.core.files import whole_folder

# Images hardly shrink in a zip and a CSV shrinks to a tenth; a bomb grows by a thousand and more.
LARGEST_GROWTH = 20
SMALL = 64 * 2**20  # bytes that any archive may hold
_IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db")


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip into a new folder, which gets its name when all is there.

    A folder of the target's name at the top of the archive is not repeated.

    Args:
        archive: The zip.
        target: The folder, which must not be there.

    Raises:
        UserError: it is no zip or a damaged one, or holds links, names that lead elsewhere, one
            name twice, or far more than its size; nothing is unpacked then.
        DiskError: what it holds does not fit on the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive, target.name)
            n_bytes = sum(info.file_size for info in members.values())
            free = shutil.disk_usage(archive.parent).free
            if n_bytes > free:
                raise DiskError(
                    f"{archive.name} holds {n_bytes / 1e9:.1f} GB, but {free / 1e9:.1f} GB are "
                    "free; make room, then the same command goes on."
                )
            with whole_folder(target) as folder:
                for path, info in members.items():
                    place = folder / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    # No more than what is declared is read, and its checksum is compared.
                    with opened.open(info) as source, place.open("xb") as file:
                        shutil.copyfileobj(source, file, 2**20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        archive.unlink(missing_ok=True)
        raise UserError(
            f"{archive.name} cannot be unpacked ({error}); it was removed, so that the same "
            "command fetches it again."
        ) from error


def _members(
    opened: zipfile.ZipFile, archive: Path, top: str
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of an archive by their places below the target."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        path = PurePosixPath(info.filename)
        if set(path.parts) & set(_IGNORED):
            continue
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in info.filename
            or ":" in path.parts[0]
        ):
            raise UserError(
                f"{archive.name} holds '{info.filename}', which leads out of the folder it is "
                "unpacked into; nothing of it was unpacked."
            )
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(
                f"{archive.name} holds '{info.filename}', which is a link or a device and no file; "
                "nothing of it was unpacked."
            )
        if info.is_dir():
            continue
        if len(path.parts) > 1 and path.parts[0] == top:
            path = PurePosixPath(*path.parts[1:])
        if path in members:
            raise UserError(
                f"{archive.name} holds '{info.filename}' twice; nothing of it was unpacked."
            )
        members[path] = info
    limit = LARGEST_GROWTH * archive.stat().st_size + SMALL
    declared = sum(info.file_size for info in members.values())
    if declared > limit:
        raise UserError(
            f"{archive.name} says that it holds {declared / 1e9:.1f} GB in "
            f"{archive.stat().st_size / 1e9:.3f} GB, more than any images do; nothing of it was "
            "unpacked."
        )
    if not members:
        raise UserError(f"{archive.name} holds no file.")
    return members
