"""SVG files of matplotlib that are small enough to be kept: text as text, coordinates with one digit behind the point,
each style once."""

import collections
import pathlib
import re

# Text is drawn by the reader's own fonts, instead of an outline a letter; and the same file comes from the same lines.
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "ropejit", "font.sans-serif": ["DejaVu Sans"]}

_METADATA = re.compile(r" *<metadata>.*?</metadata>\n", re.DOTALL)
_COORDINATES = re.compile(r'(?<= )(?:d|x|y|transform|width|height|viewBox|points)="[^"]*"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_STYLE = re.compile(r'(?<= )style="([^"]*)"')


def _tenths(found):
    return f"{round(float(found.group()), 1) + 0.0:g}"


def _shorter(found):
    return _NUMBER.sub(_tenths, re.sub(r"\s+", " ", found.group())).replace(' "', '"')


def _with_classes(text):
    """Styles that stand more than once become classes."""
    counts = collections.Counter(_STYLE.findall(text))
    classes = {style: f"s{i}" for i, style in enumerate(style for style, count in counts.items() if count > 1)}
    rules = "".join(f".{name}{{{style}}}\n" for style, name in classes.items())

    def shorter(found):
        return f'class="{classes[found.group(1)]}"' if found.group(1) in classes else found.group()

    return _STYLE.sub(shorter, text).replace("</style>", "\n" + rules + "</style>", 1)


def lighten(path):
    """Rounds the coordinates of an SVG, which are 1/72 inch, to tenths, and leaves out its indents, its comments and its
    metadata, the date among them."""
    path = pathlib.Path(path)
    if path.suffix == ".svg":
        text = _METADATA.sub("", path.read_text(encoding="utf-8"))
        text = re.sub(r" *<!--.*?-->\n", "", text)
        text = re.sub(r"^ +", "", _COORDINATES.sub(_shorter, text), flags=re.MULTILINE)
        path.write_text(_with_classes(text), encoding="utf-8")
