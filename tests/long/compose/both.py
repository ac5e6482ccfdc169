"""Runs one project through Docker Compose and through Bowline, and names in what the two answers differ."""
import hashlib
import json
import os
import re
import resource
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
LIMIT = 20.0
# Nothing of the caller's own may decide what a file means.
ENVIRONMENT = {"HOME": "/root", "PATH": "/usr/bin:/bin"}


def oracle_path():
    for folder in (os.environ.get("COMPOSE_ORACLE"), "/opt/compose-oracle", CHECKOUT / "target/tests/compose-oracle"):
        if folder and (Path(folder) / "bin/docker-compose").is_file():
            return str(Path(folder) / "bin/docker-compose")
    return None


def our_path():
    return os.environ.get("BOWLINE_BIN", str(CHECKOUT / "target/x86_64-unknown-linux-gnu/release/bowline"))


@dataclass(frozen=True)
class Case:
    """A folder and what stands on the command line before `config`."""
    folder: str
    args: tuple = ()
    env: tuple = ()
    name: str = ""


@dataclass
class Answer:
    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def accepts(self):
        return self.code == 0


@dataclass
class Verdict:
    """Empty `classes`: the two agree. A class is a difference without the names that occur in it."""
    theirs: str
    ours: str
    classes: dict = field(default_factory=dict)

    @property
    def agree(self):
        return not self.classes


def limit_memory():
    """For a worker and all that it starts: some files make Docker Compose take all memory there is."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))


def run(command, case, stdin=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, cwd=case.folder, env={**ENVIRONMENT, **dict(case.env)}, input=stdin,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return Answer(-1, "", "timeout", LIMIT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Answer(done.returncode, done.stdout.decode("utf8", "replace"), done.stderr.decode("utf8", "replace"), seconds)


class Oracle:
    """Docker Compose, whose answers on files that do not change are kept."""

    def __init__(self, binary, cache=None):
        self.binary, self.cache = binary, cache and Path(cache)
        if self.cache:
            self.cache.mkdir(parents=True, exist_ok=True)

    def ask(self, case, *words, stdin=None):
        args = case.args if stdin is None else ("--project-directory", case.folder, "-f", "-", "--profile", "*")
        command = [self.binary, *args, "config", *words]
        if not self.cache:
            return run(command, case, stdin)
        key = hashlib.sha256(repr((case.folder, command, case.env, stdin, state(case.folder))).encode()).hexdigest()
        path = self.cache / key[:2] / key
        if path.exists():
            return Answer(*json.loads(path.read_text()))
        answer = run(command, case, stdin)
        if answer.code < 0:
            return answer
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([answer.code, answer.out, answer.err]))
        return answer


def state(folder):
    """What the files of a folder are, without those below it."""
    files = (entry for entry in os.scandir(folder) if entry.is_file())
    return sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def provide_env_files(case, oracle):
    """Empty files in the place of env files that the project's authors did not publish."""
    for _ in range(12):
        answer = oracle.ask(case, "--format", "json")
        missing = re.search(r"env file (\S+) not found", answer.err)
        if answer.accepts or not missing or not missing[1].startswith(os.path.dirname(case.folder)):
            return answer
        try:
            Path(missing[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(missing[1]).touch(exist_ok=False)
        except OSError:
            return answer
    return answer


def compare(case, oracle, ours, stub=False, deep=True):
    theirs = provide_env_files(case, oracle) if stub else oracle.ask(case, "--format", "json")
    mine = run([ours, *case.args, "config", "--format", "json"], case)
    verdict = Verdict("accepts" if theirs.accepts else last(theirs.err), "accepts" if mine.accepts else mine.err)
    classes = verdict.classes
    if mine.code not in (0, 1) or "panicked at" in mine.err:
        classes[f"crash: code {mine.code} {panic(mine.err)}"] = mine.err[-600:]
    if mine.seconds > 1.0 and mine.seconds > 2 * theirs.seconds:
        classes["slow: over a second"] = f"{mine.seconds:.2f} s"
    if theirs.accepts and not mine.accepts:
        for code, message in faults(mine.err):
            classes.setdefault(f"we refuse: [{code}] {anonymous(message)}", message)
        if not faults(mine.err):
            classes[f"we refuse: {anonymous(last(mine.err))}"] = mine.err[-400:]
    elif mine.accepts and "goroutine 1 [" in theirs.err:
        classes["they crash"] = theirs.err[:300]
    elif mine.accepts and not theirs.accepts:
        classes[f"they refuse: {anonymous(strip_file(last(theirs.err)))}"] = last(theirs.err)
    elif mine.accepts and theirs.accepts:
        try:
            left, right = json.loads(theirs.out), json.loads(mine.out)
        except ValueError as error:
            classes["no JSON"] = str(error)
            return verdict
        differ((), left, right, classes)
        if deep:
            deeper(case, oracle, ours, left, classes)
    return verdict


def deeper(case, oracle, ours, model, classes):
    """Hashes, and our YAML as read by Docker Compose."""
    theirs, mine = oracle.ask(case, "--hash", "*"), run([ours, *case.args, "config", "--hash", "*"], case)
    if theirs.accepts:
        left, right = (dict(line.split(" ", 1) for line in text.splitlines() if " " in line) for text in (theirs.out, mine.out))
        if left != right:
            wrong = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
            classes["hash: not the same"] = f"{' '.join(wrong)} {mine.err[-200:]}"
    text = run([ours, *case.args, "config"], case)
    again = oracle.ask(case, "--format", "json", stdin=text.out.encode())
    if not again.accepts:
        classes[f"yaml: {anonymous(last(again.err))}"] = last(again.err)
        return
    found = {}
    differ((), model, json.loads(again.out), found)
    for name, what in found.items():
        if name not in classes:
            classes[f"yaml {name}"] = what


def differ(path, left, right, out):
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            if key not in right:
                out.setdefault(f"missing: {place(path + (key,))}", f"theirs: {short(left[key])}")
            elif key not in left:
                out.setdefault(f"extra: {place(path + (key,))}", f"ours: {short(right[key])}")
            else:
                differ(path + (key,), left[key], right[key], out)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for one, other in zip(left, right):
            differ(path + ("[]",), one, other, out)
    elif isinstance(left, str) and isinstance(right, str) and re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* [+-]\d{4} ", left):
        out.setdefault(f"date: {place(path)}", f"theirs: {short(left)} ours: {short(right)}")
    elif left != right or type(left) is not type(right):
        out.setdefault(f"differs: {place(path)}", f"theirs: {short(left)} ours: {short(right)}")


NAMES = {"services", "networks", "volumes", "configs", "secrets", "models", "jobs", "depends_on", "environment", "labels",
         "args", "driver_opts", "options", "sysctls", "ulimits", "annotations", "additional_contexts", "aux_addresses",
         "storage_opt", "extra_hosts"}


def place(path):
    """A path with `*` for what its author chose."""
    return ".".join("*" if at and path[at - 1] in NAMES and step != "[]" else step for at, step in enumerate(path))


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 160 else text[:157] + "..."


def faults(text):
    return re.findall(r"^error\[([^\]]*)\]: (.*)", text, re.M)


def panic(text):
    found = re.search(r"panicked at ([^:]+:\d+)", text)
    return found[1] if found else ""


def last(text):
    lines = [line for line in text.strip().splitlines() if "level=warning" not in line and line.strip()]
    return lines[-1].strip() if lines else ""


def strip_file(text):
    return re.sub(r"(validating|parse|parsing|load) \S+\.ya?ml", r"\1 FILE", text)


def anonymous(text):
    text = re.sub(r"`[^`]*`|\"[^\"]*\"|'[^']*'", "_", text)
    text = re.sub(r"(/[\w.@%+-]+)+/?", "PATH", text)
    text = re.sub(r"\b(services|networks|volumes|secrets|configs|models|jobs)\.[^\s:.]+", r"\1.*", text)
    text = re.sub(r"\b(service|network|volume|secret|config) \S+", r"\1 _", text)
    text = re.sub(r"\d+", "N", text)
    return text[:150]
