"""What `ropejit try` prints at its end: tables, and one picture."""

import sys

# What a GPU showed: README.md, "Numbers". Kernels beside copies, in text(), are from there, too.
MEASURED = (
    ("decode step at 512 tokens", 28.0, 24.5),
    ("prefill of 4,096 tokens", 40.7, 34.0),
)


def is_gpu(row):
    return row["arch"].startswith("sm_")


def duration(microseconds):
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= factor:
            return f"{microseconds / factor:.3g} {unit}"
    return f"{microseconds:.3g} us"


def bars(pairs, width=36, block="#"):
    """[(what, [(who, microseconds), ...])] as bars; the longest of each group is `width` long."""
    left = max(len(what) for what, _ in pairs)
    names = max(len(who) for _, group in pairs for who, _ in group)
    lines = []
    for what, group in pairs:
        longest = max(value for _, value in group)
        for who, value in group:
            bar = block * max(1, round(width * value / longest))
            lines.append(f"{what:<{left}}  {who:<{names}}  {bar:<{width}}  {duration(value)}")
            what = ""
    return "\n".join(lines)


def block_of(stream):
    """A full block, where the stream can take one."""
    try:
        "\u2588".encode(getattr(stream, "encoding", None) or "ascii")
    except (LookupError, UnicodeError):
        return "#"
    return "\u2588"


def kernel_table(rows):
    """Without copies on the CPU, where they say nothing of kernels."""
    beside = is_gpu(rows[0])
    copies = f"  {'copy':>9}  {'over a copy':>11}" if beside else ""
    lines = [f"{'tokens':>8}  {'kernel':>9}{copies}  {'binary':<8}  check"]
    for row in rows:
        copy = row.get("copy_us")
        copies = f"  {duration(copy):>9}  {row['over_copy']:>11.2f}" if copy else f"  {'-':>9}  {'-':>11}"
        verdict = "verified" if row["verified"] else row["problem"]
        lines.append(f"{row['tokens']:>8,}  {duration(row['launch_us']):>9}{copies if beside else ''}  {row['cache']:<8}  {verdict}")
    return "\n".join(lines)


def model_table(rows):
    lines = [f"{'':<26}  {'transformers':>12}  {'with ropejit':>12}  {'gain':>6}"]
    for what, before, after in rows:
        lines.append(f"{what:<26}  {duration(before):>12}  {duration(after):>12}  {1 - after / before:>6.1%}")
    return "\n".join(lines)


def text(model, rows, measured, note):
    """The text of the end: tables, one picture, and what is missing."""
    first = rows[0]
    gpu = is_gpu(first)
    parts = [f"{first['device']} ({first['arch']}), {first.get('model') or model}", kernel_table(rows)]
    if not gpu:
        parts.append(
            "There is no GPU here: the times are of the CPU, on which the kernels run for tests alone.\n"
            "On an H100 kernels of 32/8 heads of 128 took 1.06, 1.03 and 1.01 times as long as a copy of the same\n"
            "bytes, at 1, 1,024 and 16,384 tokens; and on an H200 a model of Qwen3-0.6B's shape showed (28 layers,\n"
            "eager, random weights, bf16):"
        )
        measured = [(what, before * 1e3, after * 1e3) for what, before, after in MEASURED]
    if measured:
        parts.append(model_table(measured))
        pairs = [(what, [("transformers", before), ("with ropejit", after)]) for what, before, after in measured]
    else:
        pairs = [(f"{row['tokens']:,} tokens", [("copy", row["copy_us"]), ("kernel", row["launch_us"])])
                 for row in rows if row.get("copy_us")]  # fmt: skip
    if pairs:
        parts.append(bars(pairs, block=block_of(sys.stdout)))
    if note:
        parts.append(note)
    return "\n\n".join(parts)
