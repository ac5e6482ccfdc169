"""Makes a file smaller while something about it stays true."""


def blocks(lines):
    """For each line the end of the block that hangs below it."""
    def depth(line):
        return len(line) - len(line.lstrip())
    ends = []
    for at, line in enumerate(lines):
        end = at + 1
        while end < len(lines) and (not lines[end].strip() or depth(lines[end]) > depth(line)):
            end += 1
        ends.append(end)
    return ends


def reduce(text, holds, budget=150):
    """The shortest text found within `budget` trials for which `holds` is still true."""
    lines = [line for line in text.splitlines() if line.strip()]
    if holds("\n".join(lines) + "\n"):
        budget -= 1
    else:
        lines = text.splitlines()
    changed = True
    while changed and budget > 0:
        changed = False
        at = 0
        # Big blocks first: whatever hangs below a line goes with it.
        order = sorted(range(len(lines)), key=lambda i: i - blocks(lines)[i]) if len(lines) < 400 else range(len(lines))
        for at in order:
            if at >= len(lines) or budget <= 0:
                continue
            end = blocks(lines)[at]
            rest = lines[:at] + lines[end:]
            budget -= 1
            if rest and holds("\n".join(rest) + "\n"):
                lines, changed = rest, True
                break
    return "\n".join(lines) + "\n"
