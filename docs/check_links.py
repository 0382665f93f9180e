"""Every link of the repository's Markdown that leads to a file leads to one that is there, and where it names a heading,
to that heading. Prints what does not. Run by ./dev docs."""
import pathlib
import re
import subprocess
import sys
import urllib.parse

root = pathlib.Path(__file__).resolve().parent.parent


def without_code(text):
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: code.group().replace("[", " ").replace("]", " "), text)


def headings(path):
    """The anchors that GitHub makes."""
    for line in re.findall(r"^#+ +(.*?) *$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")


def links(page):
    """(the link as it stands, the path that it leads to, the heading or nothing) of each link that leads to a file."""
    for target in re.findall(r"\]\(([^()\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        yield target, page if not path else (page.parent / path).resolve(), anchor


def problems(page):
    for target, found, anchor in links(page):
        if not found.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in headings(found):
            yield f"{target}: no such heading in {found.name}"


def main():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root, check=True,
                            capture_output=True, text=True).stdout.split()
    pages = [root / page for page in listed if (root / page).exists()]
    found = [f"{page.relative_to(root)}: {problem}" for page in pages for problem in problems(page)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
