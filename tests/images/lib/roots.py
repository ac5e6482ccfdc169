"""Root folders: made from nothing or on top of a base, by dpkg itself inside them.

Maintainer scripts run in the root with no network and with namespaces of their own, so nothing
reaches the machine, and nothing stays mounted whatever happens.
"""

import os
import shutil
import subprocess
from pathlib import Path

from packages import Apt
from recipe import Failure, Recipe

INSIDE = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0/stdin 1/stdout 2/stderr; do
  ln -s "/proc/self/fd/${stream%/*}" "$root/dev/${stream#*/}"
done
python3 -c 'import fcntl, socket, struct
up_and_running = struct.pack("16sh14x", b"lo", 0x41)
fcntl.ioctl(socket.socket(), 0x8914, up_and_running)'
mkdir -p "$root/debs"
mount --bind "$1" "$root/debs"; shift
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive chroot "$root" /bin/sh -euc "$1"
"""

# Debian's own merge of /usr, which its packages expect to find done.
MERGED = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]

# Leftovers of the installation, and what an image is better off without.
SWEEP = """
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/sbin/policy-rc.d
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian
rm -rf /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* /etc/*- /run/* /tmp/*
find /var/log -type f -delete
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -mindepth 1 \\( -type d -empty -o -type l \\) -delete
find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
"""

INSTALL = """
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
cd /debs
# What must work before anything else can be configured comes first; dpkg orders the rest.
dpkg --force-unsafe-io --force-depends --force-confold --install {files}
dpkg --configure --pending
"""


def make(recipe: Recipe, root: Path, apt: Apt) -> None:
    """Turns `root`, a copy of the base or an empty folder, into the recipe's."""
    if recipe.unpack:
        copy_files(recipe, root)
        unpack(root, apt.download(recipe.unpack, nothing_installed(apt)))
    if recipe.packages:
        install(recipe, root, apt)
        copy_files(recipe, root)
    if finish := recipe.script("finish.sh"):
        run_inside(root, finish, apt.archives)
    if (root / "debs").is_dir():
        os.rmdir(root / "debs")


def install(recipe: Recipe, root: Path, apt: Apt) -> None:
    status = root / "var/lib/dpkg/status"
    fresh = not status.exists()
    files = apt.download(recipe.packages, nothing_installed(apt) if fresh else status)
    if fresh:
        bootstrap(root, files)
    if prepare := recipe.script("prepare.sh"):
        run_inside(root, prepare, apt.archives)
    names = " ".join(f"./{file.name}" for file in files)
    run_inside(root, INSTALL.format(files=names), apt.archives)
    run_inside(root, SWEEP, apt.archives)


def nothing_installed(apt: Apt) -> Path:
    status = apt.folder / "nothing-installed"
    status.touch()
    return status


def copy_files(recipe: Recipe, root: Path) -> None:
    """Modes are those that git knows, whatever the checkout's mask made of them."""
    source = recipe.folder / "files"
    for path in sorted(source.rglob("*")):
        target = root / path.relative_to(source)
        if path.is_symlink():
            target.symlink_to(os.readlink(path))
        elif path.is_dir():
            target.mkdir(mode=0o755, exist_ok=True)
        else:
            shutil.copyfile(path, target)
            target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def bootstrap(root: Path, files: list) -> None:
    """Unpacks every package, so that the root has a dpkg that can install them properly."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    unpack(root, files)
    for folder in ("proc", "sys", "dev", "run", "tmp", "etc", "var/lib/dpkg"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").touch()
    # Names that maintainer scripts use before the package that owns the files is configured.
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)


def unpack(root: Path, files: list) -> None:
    for file in files:
        contents = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE)
        # A directory of a package may be one of the links above, which has to stay.
        command = ["tar", "-x", "-p", "--keep-directory-symlink", "-C", root]
        unpacked = subprocess.run(command, stdin=contents.stdout)
        if contents.wait() != 0 or unpacked.returncode != 0:
            raise Failure(f"{file.name} cannot be unpacked")


def run_inside(root: Path, script: str, archives: Path) -> None:
    namespaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]
    for folder in ("proc", "dev"):
        (root / folder).mkdir(exist_ok=True)
    result = subprocess.run(
        ["unshare", *namespaces, "/bin/sh", "-c", INSIDE, "inside", root, archives, script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode != 0:
        raise Failure(f"a script in {root} failed:\n{result.stdout}")
