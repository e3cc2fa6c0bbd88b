"""File system under a SQLite file: its type, and whether SQLite works there."""

import re
from pathlib import Path

from sweeper.errors import StorageError

MOUNTS = Path("/proc/self/mountinfo")

# Of FUSE, what reaches over a network or into the cloud; others, such as ntfs-3g, are disks here.
_BETWEEN_MACHINES = re.compile(
    r"9p|acfs|afs|beegfs|ceph|cifs|coda|davfs|fhgfs|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2"
    r"|orangefs|pvfs2|smb2|smb3|smbfs|wekafs|fuse\.("
    r"sshfs|glusterfs|ceph\S*|s3fs|goofys|mount-s3|mountpoint-s3|rclone|gcsfuse|blobfuse2?|juicefs"
    r"|davfs2?|curlftpfs|smbnetfs|mfs|moosefs|lizardfs|seaweedfs|google-drive\S*|onedrive|hdfs"
    r"|alluxio\S*|nfs\S*)"
)


def filesystem(path: Path, mounts: Path | None = None) -> str:
    """Return the type of the file system of a path that may not be there yet, '' if unknown."""
    try:
        lines = (mounts or MOUNTS).read_text(errors="surrogateescape").splitlines()
        path = path.resolve()
    except OSError:  # elsewhere than on Linux
        return ""
    nearest, kind = Path(), ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) < 5:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        # What is mounted later on the same folder hides what was there.
        if path.is_relative_to(point) and len(point.parts) >= len(nearest.parts):
            nearest, kind = point, types[0]
    return kind


def is_between_machines(kind: str) -> bool:
    """Tell whether other machines may have the same files open."""
    return _BETWEEN_MACHINES.fullmatch(kind) is not None


def refuse_network(file: Path | None, mounts: Path | None = None) -> None:
    """Raise StorageError if a SQLite file lies where SQLite's locks do not hold."""
    kind = "" if file is None else filesystem(file, mounts)
    if is_between_machines(kind):
        raise StorageError(
            f"storage {file}: lies on {kind}, where the locks and the shared memory of SQLite do "
            "not work between machines: use a folder of this machine's own disk, or PostgreSQL"
        )
