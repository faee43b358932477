"""A copy of prepared images on a node's own disk, where the cache lies on a network file system.

Batches take rows in random order, which a file server answers slowly and each epoch anew. The copy
lies in `lmd-bench-<user>` below `$LMD_BENCH_LOCAL`, or below the folder for temporary files; it is
made by the first trial of a node and stays. Where there is no room, or no such disk, the cache
itself is read as before.
"""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.core.locks import locked
from lmd_bench.data.images.cache import PreparedImages

NETWORK = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "9p", "afs", "panfs"}
    | {"wekafs", "orangefs", "pvfs2", "fuse.glusterfs", "fuse.sshfs", "fuse.juicefs"}
    | {"fuse.ceph", "fuse.s3fs", "fuse.gcsfuse"}
)
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_MOUNTS = Path("/proc/self/mountinfo")
_PATIENCE = 3600.0  # seconds that another process may take to copy


def with_near_copy(prepared: PreparedImages) -> PreparedImages:
    """Return the images, their pixels read from this node's own disk where that is worth it."""
    if file_system(prepared.folder) not in NETWORK:
        return prepared
    given = os.environ.get("LMD_BENCH_LOCAL")
    root = Path(given or tempfile.gettempdir()).expanduser()
    kind = file_system(root)
    # Memory is the trials' own, unless a person says that there is enough.
    if kind in NETWORK or (kind in IN_MEMORY and not given):
        return prepared
    # Whatever the disk refuses, the cache itself is there.
    try:
        return replace(prepared, near=_copied(prepared.array, root))
    except (OSError, UserError):
        return prepared


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that a path lies on, such as ext4; "" where unknown.

    Args:
        path: need not exist.
        mounts: the table of what is mounted, as Linux keeps it.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    path, kind, longest = path.resolve(), "", -1
    for line in lines:
        mount, _, source = line.partition(" - ")
        # Blanks in a path are written as octal numbers. Of two mounts the later one covers.
        point = Path(mount.split()[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = source.split()[0], len(point.parts)
    return kind


def _copied(array: Path, root: Path) -> Path:
    folder = root / f"lmd-bench-{os.getuid()}" / array.parent.name
    root.mkdir(parents=True, exist_ok=True)
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, exist_ok=True)
    if folder.parent.stat().st_uid != os.getuid():
        # In a folder that all may write to, another person took the name first.
        raise OSError(f"{folder.parent} is another person's")
    copy, size = folder / array.name, array.stat().st_size
    with locked(folder / ".lock", _PATIENCE):
        if not copy.is_file() or copy.stat().st_size != size:
            if shutil.disk_usage(folder).free < 2 * size:
                raise OSError(f"no room for {array} in {folder}")
            with whole_file(copy) as temporary:
                shutil.copyfile(array, temporary)
    return folder
