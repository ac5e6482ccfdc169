"""Layers: what a root has that its base has not, as a tar file that gzip has gone over."""

import gzip
import hashlib
import json
import os
import stat
import subprocess
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

WHITEOUT = ".wh."


@dataclass
class Layer:
    """Names of a layer: `diff_id` of the tar, `digest` and `size` of the compressed file."""

    diff_id: str
    digest: str
    size: int

    @staticmethod
    def load(path: Path) -> "Layer":
        return Layer(**json.loads(path.with_suffix(".json").read_text()))

    def save(self, path: Path) -> None:
        path.with_suffix(".json").write_text(json.dumps(asdict(self)))


class Hashing:
    """A file that knows the digest of what was written through it."""

    def __init__(self, inner):
        self.inner, self.sha, self.size = inner, hashlib.sha256(), 0

    def write(self, data) -> int:
        self.sha.update(data)
        self.size += len(data)
        return self.inner.write(data)

    def flush(self) -> None:
        self.inner.flush()

    def digest(self) -> str:
        return f"sha256:{self.sha.hexdigest()}"


def write(root: Path, base: Path | None, path: Path) -> Layer:
    """Writes the layer that makes `root` out of `base` to `path`."""
    with open(path, "wb") as file:
        outer = Hashing(file)
        # No name and no time in the header: the same root gives the same bytes.
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=outer, mtime=0) as packed:
            inner = Hashing(packed)
            with tarfile.open(fileobj=inner, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                add_differences(tar, root, base)
    layer = Layer(inner.digest(), outer.digest(), outer.size)
    layer.save(path)
    return layer


def unpack(path: Path, root: Path) -> None:
    """Unpacks a base's layer; a base has nothing below it, so there are no whiteouts in it."""
    command = ["tar", "-xzp", "--numeric-owner", "-f", path, "-C", root]
    subprocess.run(command, check=True)


class Writer:
    """Adds entries once each, their folders first: whoever unpacks has to know mode and owner of
    those too, even where they did not change."""

    def __init__(self, tar: tarfile.TarFile, root: Path):
        self.tar, self.root, self.added = tar, root, {Path(".")}

    def add(self, path: Path) -> None:
        for parent in reversed(path.parents):
            self._add_one(parent)
        self._add_one(path)

    def add_whiteout(self, path: Path) -> None:
        self.add(path.parent)
        self.tar.addfile(tarfile.TarInfo(str(path.with_name(WHITEOUT + path.name))))

    def _add_one(self, path: Path) -> None:
        if path in self.added:
            return
        self.added.add(path)
        entry = self.tar.gettarinfo(self.root / path, arcname=str(path))
        if entry is None:
            # A socket: no archive has those.
            return
        # Whole seconds, so that a root that was packed and unpacked equals itself.
        entry.mtime = int(entry.mtime)
        entry.uname = entry.gname = ""
        if entry.isreg():
            with open(self.root / path, "rb") as file:
                self.tar.addfile(entry, file)
        else:
            self.tar.addfile(entry)


def add_differences(tar: tarfile.TarFile, root: Path, base: Path | None) -> None:
    writer = Writer(tar, root)
    for folder, folders, files in os.walk(root):
        folders.sort()
        here = Path(folder).relative_to(root)
        for name in sorted(folders + files):
            if base is None or differs(root / here / name, base / here / name):
                writer.add(here / name)
        for name in gone(root / here, base / here) if base else []:
            writer.add_whiteout(here / name)


def gone(here: Path, before: Path) -> list:
    if not before.is_dir() or before.is_symlink():
        return []
    return sorted(set(os.listdir(before)) - set(os.listdir(here)))


def differs(new: Path, old: Path) -> bool:
    if not os.path.lexists(old):
        return True
    a, b = os.lstat(new), os.lstat(old)
    kind = stat.S_IFMT(a.st_mode)
    if (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev):
        return True
    if kind == stat.S_IFLNK:
        return os.readlink(new) != os.readlink(old)
    return kind == stat.S_IFREG and (a.st_size, int(a.st_mtime)) != (b.st_size, int(b.st_mtime))
