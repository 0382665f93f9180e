"""The README's C++ program is examples/embed.cpp, which the tests build and run."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
blocks = re.findall(r"```cpp\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
program = (root / "examples" / "embed.cpp").read_text(encoding="utf-8")
if program not in blocks:
    sys.exit("README.md has no ```cpp block equal to examples/embed.cpp: copy the program into it")
print("README.md shows examples/embed.cpp as it is")
