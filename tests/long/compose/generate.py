"""Random projects, put together from the rows of compose-specs/tables and damaged now and then."""
import random
from pathlib import Path

SPECS = Path(__file__).resolve().parents[3] / "compose-specs"
NAMES = ["web", "other", "third", "db"]
PIECES = ["", " ", "\n", "  ", ":", ": ", "- ", "[", "]", "{", "}", "\"", "'", "$", "${", "${A:-", "&a ", "*a", "<<: ", "!reset ",
          "!override ", "|\n", "#", "0", "-1", "1e400", "null", "~", "é", "\t", "x-", ",", "a", "true", "no", "1.5", "[]", "{}"]
ODD = ["null", "~", "\"\"", "''", "[]", "{}", "0", "-1", "1.5", "true", "no", "x", "\"a b\"", "[a]", "{a: b}", "[[a]]", "[{}]", "$A",
       "${A:-b}", "${NOPE}", "2024-01-01", "0o17", "017", "1_000", "!reset null", "!override [a]", "/", ".", "..", "a:b", "80:80",
       "99999999999999999999", ".inf", "10s", "1g", "service:web", "container:x", "é", "\"\\n\""]


def rows(name, bad=False):
    """The cells of the rows that are accepted, or of those that are refused."""
    text = (SPECS / "tables" / f"{name}.table").read_text()
    out = []
    for line in text.split("=== rows\n", 1)[1].splitlines():
        row, answer = line.rsplit(" => ", 1)
        if answer.startswith("error") == bad:
            out.append([cell.strip().replace("~EMPTY~", "") for cell in row.split(" | ")])
    return out


class Material:
    """What tables offer: for each attribute of a service its values, for each section the values of an entry."""

    def __init__(self, bad=False):
        self.attributes = {}
        rows = lambda name: globals()["rows"](name, bad)
        for table in ("attributes", "casts", "dependencies", "paths"):
            for attribute, value in rows(table):
                self.attributes.setdefault(attribute, []).append(value)
        for attribute, base, over in rows("merge") + rows("extends"):
            self.attributes.setdefault(attribute, []).extend([base, over])
        for table, attribute in (("build", "build"), ("deploy", "deploy"), ("expose", "expose"), ("words", "command")):
            self.attributes.setdefault(attribute, []).extend(row[0] for row in rows(table) if "⏎" not in row[0])
        for table, attribute in (("ports-short", "ports"), ("ports-long", "ports"), ("volumes-short", "volumes"),
                                 ("volumes-long", "volumes")):
            self.attributes.setdefault(attribute, []).extend(f"[{row[0]}]" for row in rows(table))
        single = [row[0] for row in rows("interpolation") + rows("scalars") if "⏎" not in row[0]]
        self.attributes.setdefault("environment", []).extend(f"{{A: {value}}}" for value in single if not set("[]{},") & set(value))
        self.attributes["develop"] = [f"{{watch: [{row[0]}]}}" for row in rows("develop")]
        self.sections = {name: [row[0] for row in rows(name) if "⏎" not in row[0]]
                         for name in ("networks", "volumes", "configs", "secrets")}
        self.sections["models"] = [row[0] for row in rows("models")]
        self.dotenv = [row[0].replace("⏎", "\n") for row in rows("dotenv")]
        self.documents = [row[0].replace("⏎", "\n") for row in rows("documents")]
        self.bad = None if bad else Material(bad=True)


def service(chance, material, name, others, sparse):
    lines = []
    if not sparse or chance.random() < 0.3:
        lines.append(f"image: {chance.choice(['x', 'redis:5', '${IMAGE:-y}', 'a.b/c:d'])}")
    used = {"image", "extends"}
    for _ in range(chance.choice([0, 1, 1, 2, 2, 3, 4, 6])):
        attribute = chance.choice(sorted(material.attributes))
        if attribute in used:
            continue
        used.add(attribute)
        value = chance.choice(material.attributes[attribute])
        if chance.random() < 0.03:
            value = chance.choice(material.bad.attributes.get(attribute, ODD) + ODD[:4])
        if chance.random() < 0.02:
            value = chance.choice(["!reset ", "!override "]) + value
        lines.append(f"{attribute}: {value}")
    if others and chance.random() < 0.12:
        lines.append(f"extends: {chance.choice([chance.choice(others), '{service: %s}' % chance.choice(others), '{file: base.yaml, service: base}'])}")
    if chance.random() < 0.1:
        lines.append("<<: *common")
    chance.shuffle(lines)
    return f"  {name}:\n" + "".join(f"    {line}\n" for line in lines) if lines else f"  {name}: {{image: x}}\n"


def document(chance, material, sparse):
    parts = []
    if chance.random() < 0.9:
        parts.append("x-common: &common {labels: {shared: yes}}\n" if chance.random() < 0.5 else "x-common: &common {}\n")
    if chance.random() < 0.1:
        parts.append(f"name: {chance.choice(['p', 'Big', '${NAME:-q}', 'a b'])}\n")
    if chance.random() < 0.08 and not sparse:
        parts.append(chance.choice(["include: [inc.yaml]\n", "include:\n  - {path: inc.yaml, env_file: e.env}\n", "include: [sub/inc.yaml]\n"]))
    names = NAMES[: chance.choice([1, 2, 3, 4])] if not sparse else chance.sample(NAMES, chance.choice([1, 1, 2]))
    parts.append("services:\n" + "".join(service(chance, material, name, [n for n in names if n != name], sparse) for name in names))
    if not sparse:
        for section, keys in (("networks", ["n1", "n2", "default"]), ("volumes", ["v1", "v2", "data"]), ("configs", ["c1", "c2"]),
                              ("secrets", ["s1", "s2"]), ("models", ["m1"])):
            if chance.random() < 0.85:
                plain = {"configs": "{file: ./c}", "secrets": "{file: ./s}", "models": "{model: ai/m}"}.get(section, "")
                lines = [f"  {key}: {plain if chance.random() < 0.8 else chance.choice(material.sections[section])}\n" for key in keys]
                parts.append(f"{section}:\n" + "".join(lines))
    return "".join(parts)


def damage(chance, text):
    for _ in range(chance.choice([1, 1, 2, 3])):
        kind = chance.random()
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        if kind < 0.15:
            del lines[at]
        elif kind < 0.25:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif kind < 0.35:
            lines[at] = " " * chance.choice([0, 2, 3, 4, 6]) + lines[at].lstrip()
        elif kind < 0.6 and ": " in lines[at]:
            lines[at] = lines[at].split(": ", 1)[0] + ": " + chance.choice(ODD)
        elif kind < 0.7 and ":" in lines[at]:
            key = lines[at].split(":", 1)[0]
            lines[at] = key[:-1] + chance.choice(["", "s", "-", "_"]) + lines[at][len(key):]
        else:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(PIECES) + text[at + chance.choice([0, 0, 1, 2, 5]):]
            continue
        text = "\n".join(lines)
    return text


def project(seed, material):
    """Files by name, arguments and environment."""
    chance = random.Random(seed)
    files = {"compose.yaml": document(chance, material, False) if chance.random() < 0.98 else chance.choice(material.documents)}
    args = ["-f", "compose.yaml"]
    if chance.random() < 0.35:
        files["over.yaml"] = document(chance, material, True)
        args += ["-f", "over.yaml"]
    files["base.yaml"] = "services:\n" + service(chance, material, "base", [], False)
    files["inc.yaml"] = files["sub/inc.yaml"] = document(chance, material, True) + "\n"
    files["e.env"] = chance.choice(material.dotenv) + "\n"
    files["l.labels"] = "a=1\nb=two\n"
    if chance.random() < 0.3:
        files[".env"] = "\n".join(chance.sample(material.dotenv, chance.choice([1, 2]))) + "\n"
    if chance.random() < 0.25:
        name = chance.choice([name for name in files if name in ("compose.yaml", "over.yaml", "base.yaml")] + ["compose.yaml"])
        files[name] = damage(chance, files[name])
    if chance.random() < 0.3:
        args += ["--profile", chance.choice(["*", "a", "frontend"])]
    env = {"SET": "set", "T": "true", "F": "false", "N": "2", "R": "1.5", "Y": "yes", "ON": "on", "NUM": "5", "V": "v"}
    for name in chance.sample(["SET", "A", "NUM", "T", "N", "Y", "EMPTY", "TAG", "IMAGE", "V"], chance.choice([0, 0, 1, 2])):
        env[name] = chance.choice(["set", "1", "true", "2", "1.5", "yes", "words", "", "a b", "$x", "é"])
    if chance.random() < 0.05:
        env = {}
    return files, tuple(args), tuple(env.items())
