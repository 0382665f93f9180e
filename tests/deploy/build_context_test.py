#!/usr/bin/env python3
"""What of a used checkout goes into an image's build: every tracked file, and nothing that git ignores.

Usage: build_context_test.py ROOT     (77: ROOT is no git checkout)
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1])


def expression(pattern):
    """A line of .dockerignore as Docker understands it: from the root, ** for any folders, and all that is below."""
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/")):
        text += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text + "(?:/.*)?$")


def samples(pattern):
    """Paths that a line of .gitignore stands for."""
    name = pattern.strip("/").replace("*", "0")
    name = name + "/file" if pattern.endswith("/") else name
    return [name] if "/" in pattern.rstrip("/") else [name, "python/" + name, "a/b/" + name]


def lines_of(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def main():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode != 0:
        sys.exit(77)
    rules = [expression(line) for line in lines_of(".dockerignore")]

    def is_left_out(path):
        return any(rule.match(path) for rule in rules)

    wrong = [f"{path}: a tracked file, and left out" for path in listed.stdout.split("\0") if path and is_left_out(path)]
    for pattern in lines_of(".gitignore"):
        wrong += [f"{path}: ignored by git ({pattern}), and sent" for path in samples(pattern) if not is_left_out(path)]
    if not is_left_out(".git/config"):
        wrong.append(".git: sent")
    copies = re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "examples/deploy/Dockerfile").read_text(encoding="utf-8"), re.M)
    if copies != [". ."]:
        wrong.append(f"Dockerfile: copies {copies} out of the context, and this test knows '. .' alone")
    sys.exit("\n".join(wrong) or 0)


main()
