#!/usr/bin/env python3
"""Every fenced block of the README is run or proven, and the README stays short enough to be read.

    readme_test.py PROGRAM

PROGRAM is the built ropejit. Commands of it are run, on the host target; verbs of ./dev and paths are looked up where they
are defined; the Python block patches a small model of random weights and undoes that, where torch, transformers and a built
ropejit can be imported, and is otherwise compiled and its names looked up. Of the pages: the program of docs/cpp.md is
examples/embed.cpp, the JSON of docs/spec-json.md is read by the program, docs/command-line.md has the commands that there
are, and every ./dev verb and ropejit command that a page names exists.
"""
import ast
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import python_command_test

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_BYTES = 10_240
PAGES = ["README.md", "python/README.md", "bench/README.md", "tests/reliability/README.md", "src/DESIGN.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))

# Runs the block of argv[1] statement by statement. The model's function must be ropejit's somewhere on the way and its own
# at the end, and the model's answer must never change.
PATCHED_MODEL = """
import ast, os, sys
sys.path.append(os.path.join(sys.argv[2], "python"))  # behind an installed package
import torch, transformers
from transformers.models.llama import modeling_llama

device = "cuda" if torch.cuda.is_available() else "cpu"
os.environ["ROPEJIT_DEVICE"] = "host" if device == "cpu" else "cuda"
if device == "cpu":
    os.environ["ROPEJIT_ON_MISS"] = "generic"  # the same bits, and nothing to compile
torch.manual_seed(0)
config = transformers.LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=2,
                                  num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
model = transformers.LlamaForCausalLM(config).eval().to(device)
tokens = torch.arange(12, device=device).reshape(1, 12)


def answer():
    with torch.no_grad():
        return model(tokens).logits


own, expected, owners = modeling_llama.apply_rotary_pos_emb, answer(), []
names = {"model": model}
for statement in ast.parse(sys.argv[1]).body:
    exec(compile(ast.Module([statement], []), "README.md", "exec"), names)
    owners.append(modeling_llama.apply_rotary_pos_emb.__module__.partition(".")[0])
    if not torch.equal(answer(), expected):
        sys.exit(f"after line {statement.lineno} of the block the model's logits are others")
if "ropejit" not in owners:
    sys.exit("no line of the block has the model rotate by ropejit")
if modeling_llama.apply_rotary_pos_emb is not own:
    sys.exit("at the end of the block the model does not rotate by its own function")
print("transformers", transformers.__version__, "on", device)
"""

problems = []


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name):
    """[(the word after the fence, the text, the line of the fence)] of a page."""
    found, opened = [], None
    for number, line in enumerate(read(name).splitlines(), 1):
        fence = re.match(r"(?:```|~~~)(.*)", line.strip())
        if fence and opened is None:
            opened = [fence[1].strip(), [], number]
        elif fence:
            found.append((opened[0], "".join(text + "\n" for text in opened[1]), opened[2]))
            opened = None
        elif opened is not None:
            opened[1].append(line)
    if opened is not None:
        problems.append(f"{name}:{opened[2]}: a fence that nothing closes")
    return found


def code_of(name):
    """[(code, its line)]: the lines of blocks without a language, and what stands between backticks elsewhere."""
    found, inside = [], None
    for number, line in enumerate(read(name).splitlines(), 1):
        if line.strip().startswith("```"):
            inside = line.strip()[3:] if inside is None else None
        elif inside == "":
            found.append((line, number))
        elif inside is None:
            found += [(code, number) for code in re.findall(r"`([^`]+)`", line)]
    return found


def run(words, where, expected=0):
    """Its stdout; None, and a problem, where it does not end as expected or prints nothing."""
    done = subprocess.run([str(word) for word in words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode != expected or not done.stdout.strip():
        problems.append(f"{where}: ended with {done.returncode}, wanted {expected} and something printed\n"
                        f"{done.stdout[-500:]}{done.stderr[-500:]}")
        return None
    return done.stdout


def dev_verbs():
    """{verb: what its line says}, of ./dev itself."""
    said = run(["bash", ROOT / "dev"], "./dev") or ""
    return dict(re.findall(r"^  ([a-z]+) +(.*)", said, re.MULTILINE))


def ropejit_commands(program):
    """{command: what its line says}, of the program itself."""
    said = run([program, "--help"], "ropejit --help") or ""
    return dict(re.findall(r"^  ([a-z]+) +(.*)", said.partition("  ropejit COMMAND")[0], re.MULTILINE))


def check_dev(words, verbs, where):
    verb, arguments = words[1] if len(words) > 1 else "", words[2:]
    if verb not in verbs:
        problems.append(f"{where}: ./dev has no verb {verb or 'in this line'}")
        return
    wanted = re.match(r"((?:[A-Z]+ ?)*):", verbs[verb])  # "FOLDER: the libraries"
    if len(arguments) != (len(wanted[1].split()) if wanted else 0):
        problems.append(f"{where}: ./dev {verb} with {arguments}, where its line says: {verbs[verb]}")


def check_try(words, where, program):
    """The Python package's command, on the CPU, from a package that is laid out for it."""
    with tempfile.TemporaryDirectory() as folder:
        python_command_test.lay_out(pathlib.Path(folder), program)
        environment = {"PYTHONPATH": folder, "HOME": folder, "ROPEJIT_DEVICE": "host", "ROPEJIT_ON_MISS": "generic",
                       "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-S", "-m", "ropejit_cli", *words], env=environment, cwd=folder,
                              capture_output=True, text=True, timeout=300)
    if done.returncode != 0 or "verified" not in done.stdout:
        problems.append(f"{where}: ended with {done.returncode}\n{done.stdout[-500:]}{done.stderr[-500:]}")
    print(f"{where}: ran ropejit {shlex.join(words)}")


def check_shell(text, where, program, verbs):
    for line in filter(None, (line.strip() for line in text.splitlines())):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "./dev":
            check_dev(words, verbs, where)
        elif words[:2] == ["ropejit", "try"]:
            check_try(words[1:], where, program)
        elif words == ["(cd", "build/dist", "&&", "sha256sum", "--check", "SHA256SUMS)"]:
            if "sha256sum ropejit-* >SHA256SUMS" not in read("python/wheel/build.sh"):
                problems.append(f"{where}: ./dev wheel writes no SHA256SUMS into build/dist")
        elif words[0] == "ropejit":
            if run([program, *words[1:]], f"{where}: {shlex.join(words)}") is not None:
                print(f"{where}: ran {shlex.join(words)}")
        elif words[:4] == ["python3", "-m", "pip", "install"] and len(words) == 5:
            folder, _, wheel = words[4].rpartition("/")
            name = re.search(r'^name = "(.*)"', read("pyproject.toml"), re.MULTILINE)[1]
            if f"{folder} " not in verbs.get("wheel", "") + " " or wheel != f"{name}-*.whl":
                problems.append(f"{where}: {words[4]} is not what ./dev wheel says that it makes")
        else:
            problems.append(f"{where}: nothing here knows how to prove: {line}")


def names_of_package(text):
    """What the block uses of modules of ropejit: [(module, name)]."""
    used = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            path = ast.unparse(node).split(".")
            if all(re.fullmatch(r"\w+", word) for word in path) and path[0] == "ropejit":
                used.append(path)
        elif isinstance(node, ast.Import):
            used += [alias.name.split(".") for alias in node.names if alias.name.startswith("ropejit")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ropejit"):
            used += [node.module.split(".") + [alias.name] for alias in node.names]
    return used


def statements(body):
    """Those of a module, and those of its conditions."""
    for node in body:
        yield from statements(node.body) if isinstance(node, ast.If) else (node,)


def is_there(path):
    """Whether a dotted path leads to a folder, a module or a name that a module defines."""
    place = ROOT / "python"
    for depth, word in enumerate(path):
        if (place / word).is_dir():
            place = place / word
            continue
        if (place / f"{word}.py").is_file():
            module, rest = place / f"{word}.py", path[depth + 1:]
        else:
            module, rest = place / "__init__.py", path[depth:]
        defined = set()
        for node in statements(ast.parse(module.read_text(encoding="utf-8")).body):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.Assign):
                defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                defined |= {alias.asname or alias.name for alias in node.names}
        return not rest or rest[0] in defined
    return True


def methods_of_package():
    """The names of all functions and methods that the package's modules define."""
    return {node.name for path in (ROOT / "python/ropejit").rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


def check_python(text, where):
    try:
        compile(text, where, "exec")
    except SyntaxError as error:
        problems.append(f"{where}: {error}")
        return
    for path in names_of_package(text):
        if not is_there(path):
            problems.append(f"{where}: {'.'.join(path)} is not in python/ropejit")
    for node in ast.walk(ast.parse(text)):
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id != "ropejit"
        if own and node.attr not in methods_of_package():
            problems.append(f"{where}: nothing in python/ropejit defines {node.attr}")
    ready = "import os, sys; sys.path.append(os.path.join(sys.argv[1], 'python')); import torch, transformers, ropejit"
    missing = subprocess.run([sys.executable, "-c", ready, ROOT], capture_output=True, text=True)
    if missing.returncode != 0:
        print(f"{where}: not run, but compiled and its names looked up: {missing.stderr.strip().splitlines()[-1]}")
        return
    said = run([sys.executable, "-c", PATCHED_MODEL, text, ROOT], where)
    if said is not None:
        print(f"{where}: patched and undone with {said.strip().splitlines()[-1]}")


def check_json(text, where, program, folder):
    """A spec is read by inspect; a form by check, as the form of a manifest, where 1 says: read, and not in the cache."""
    try:
        value = json.loads(text)
    except ValueError as error:
        problems.append(f"{where}: {error}")
        return
    if "schema" in value:
        (folder / "spec.json").write_text(text, encoding="utf-8")
        run([program, "inspect", "--model", folder / "spec.json"], where)
        return
    rope = {"rotary_dim": 64, "q": {"heads": 4, "head_dim": 64}, "k": {"heads": 2, "head_dim": 64}}
    if "v_rows" in value:
        rope["v"] = rope["k"]
    manifest = {"schema": 1, "models": [{"name": "page", "ropes": [rope]}], "dtypes": ["bf16"], "forms": [value]}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run([program, "check", "--manifest", folder / "manifest.json", "--arch", "9.0", "--cache-dir", folder / "none"], where, 1)


def check_readme(program, verbs):
    size = (ROOT / "README.md").stat().st_size
    if size > MOST_BYTES:
        problems.append(f"README.md: found {size:,} bytes, allowed: {MOST_BYTES:,}; move what is not the front door to a page")
    found = blocks("README.md")
    if not found:
        problems.append("README.md: no fenced block")
    for language, text, line in found:
        where = f"README.md:{line}"
        if language in ("", "sh"):
            check_shell(text, where, program, verbs)
        elif language == "python":
            check_python(text, where)
        elif language == "cpp":
            if text != read("examples/embed.cpp"):
                problems.append(f"{where}: the program is not examples/embed.cpp")
        else:
            problems.append(f"{where}: a block of {language}, which this test does not know how to prove")
    return size, len(found)


def check_pages(program, folder, verbs, commands):
    if not any(language == "cpp" and text == read("examples/embed.cpp") for language, text, _ in blocks("docs/cpp.md")):
        problems.append("docs/cpp.md: no ```cpp block is examples/embed.cpp: copy the program into it")
    texts = [(text, line) for language, text, line in blocks("docs/spec-json.md") if language == "json"]
    if len(texts) < 2:
        problems.append("docs/spec-json.md: a ```json block of a spec and one of a form are wanted")
    for text, line in texts:
        check_json(text, f"docs/spec-json.md:{line}", program, folder)
    told = set(re.findall(r"^\| `ropejit ([a-z]+)", read("docs/command-line.md"), re.MULTILINE))
    for command in sorted(commands.keys() - told):
        problems.append(f"docs/command-line.md: no row for ropejit {command}")
    for page in PAGES:
        for text, line in code_of(page):
            for verb in re.findall(r"(?:^|\s)\./dev ([a-z]+)", text):
                if verb not in verbs:
                    problems.append(f"{page}:{line}: ./dev has no verb {verb}")
            for command in re.findall(r"(?:^|\s)ropejit ([a-z]+)", text):
                if command not in commands:
                    problems.append(f"{page}:{line}: ropejit has no command {command}")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ.update(ROPEJIT_DEVICE="host", ROPEJIT_CACHE_DIR=str(folder / "cache"))
        verbs, commands = dev_verbs(), ropejit_commands(program)
        if "test" not in verbs or "run" not in commands:
            sys.exit("\n".join(problems) or f"found the verbs {sorted(verbs)} and the commands {sorted(commands)}")
        size, count = check_readme(program, verbs)
        check_pages(program, folder, verbs, commands)
    if problems:
        sys.exit("\n".join(problems))
    print(f"README.md: {size:,} of {MOST_BYTES:,} bytes, {count} blocks; {len(PAGES)} pages")


main()
