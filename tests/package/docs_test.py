"""The documentation as it is installed: all pages are there, and their links lead on as in the source, but for those into the
library's own source.

Usage: docs_test.py PREFIX. ROPEJIT_DOCDIR is the folder of the documentation below it (share/doc/ropejit).
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True

import check_links

# What a page may name and an installation does not have.
SOURCE = ("include/", "src/", "python/ropejit/", "templates/", "tests/", "bench/peers/", "cache/records/", "docs/api/", "CMakeLists.txt/")


def may_be_missing(path):
    return path.suffix not in (".md", ".svg") and f"{path}/".startswith(SOURCE)


def wrong_links(docs, page):
    for target, found, anchor in check_links.links(page):
        if docs not in (found, *found.parents):
            yield f"{page.relative_to(docs)}: {target} leads out of {docs}"
        elif not found.exists():
            path = found.relative_to(docs)
            if not may_be_missing(path) or not (ROOT / path).exists():
                yield f"{page.relative_to(docs)}: {target} is not installed"
        elif anchor and anchor not in check_links.headings(found):
            yield f"{page.relative_to(docs)}: {target}: no such heading"


def main():
    docs = (pathlib.Path(sys.argv[1]) / os.environ.get("ROPEJIT_DOCDIR", "share/doc/ropejit")).resolve()
    wanted = ["README.md", "CHANGELOG.md", "LICENSE", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
    wrong = [f"{name}: not installed, or another file" for name in wanted
             if not (docs / name).is_file() or (docs / name).read_bytes() != (ROOT / name).read_bytes()]
    pages = sorted(docs.rglob("*.md"))
    wrong += [f"{page.relative_to(docs)}: not a page of the source" for page in pages
              if not (ROOT / page.relative_to(docs)).is_file()]
    wrong += [problem for page in pages for problem in wrong_links(docs, page)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{docs}: {len(pages)} pages, and links that lead on")


if __name__ == "__main__":
    main()
