"""What the tests of this folder share: a scratch folder, workers as processes, and checks that are counted."""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
NOBODY = 65534


class Skip(Exception):
    """This machine does not allow the test; says why."""


class Test:
    """One test: where it may write, how it starts workers, and what it found.

    long: the issue's own numbers, rather than a short form of them. few: of what is drawn or repeated, less still
    (ROPEJIT_TEST_SHORT, the usual run of ctest). gets: how many there shall be.
    """

    def __init__(self, name, programs, is_long, gets=None):
        self.name = name
        self.long = is_long
        self.few = not is_long and "ROPEJIT_TEST_SHORT" in os.environ
        self.gets = gets or (1_000_000 if is_long else 20_000)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="ropejit-reliability-"))
        self.scratch.chmod(0o755)
        # Copies: other users must be able to run them.
        for program in ("ropejit", "ropejit_worker"):
            shutil.copy(pathlib.Path(programs) / program, self.scratch / program)
        shutil.copy(HERE / "compiler.sh", self.scratch / "compiler.sh")
        self.compiles = self.scratch / "compiles"
        self.compiles.touch()
        self.compiles.chmod(0o666)
        self.kept = self.scratch / "kept"
        self.kept.mkdir()
        self.kept.chmod(0o777)
        self.temporary = self.scratch / "tmp"
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)
        self.told = ""  # by the last worker, on stderr
        self.failed = 0
        self.started = []

    def close(self):
        for process in self.started:
            if process.poll() is None:
                kill(process)
                process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # --- what was found ---------------------------------------------------------------------------------------------

    def say(self, line):
        print(f"  {line}", flush=True)

    def check(self, what, holds, found=""):
        """Counts and prints a check. Returns whether it holds."""
        word = "ok" if holds else "FAILED"
        self.failed += not holds
        found = f": {found}" if found != "" else ""
        self.say(f"{word:<7}{what}{found}")
        return holds

    def right(self, what, result, launches=None):
        """Every launch of a worker's result came out right, none failed."""
        if result is None:
            return self.check(what, False, "the worker printed nothing")
        told = (result["wrong"] + result["errors"])[:2]
        holds = result["wrong_count"] == 0 and result["error_count"] == 0 and \
            (result["right"] > 0 if launches is None else result["right"] == launches)
        found = f'{result["right"]} right, {result["wrong_count"]} wrong, {result["error_count"]} errors'
        return self.check(what, holds, found + (f" ({told[0].splitlines()[0]})" if told else ""))

    # --- workers ----------------------------------------------------------------------------------------------------

    def folder(self, name, mode=0o700, owner=None):
        path = self.scratch / name
        path.mkdir(mode=mode, parents=True)
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner, owner)
        return path

    def environment(self, cache=None, keep=False, **more):
        """keep: what was compiled once is taken from a folder the next time, so that a compile takes milliseconds."""
        kept_names = ("PATH", "LANG", "LD_LIBRARY_PATH", "TSAN_OPTIONS", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                      "ROPEJIT_TEST_CXX", "ROPEJIT_TEST_LEVEL", "ROPEJIT_NVRTC")
        variables = {name: os.environ[name] for name in kept_names if name in os.environ}
        variables["TMPDIR"] = str(self.temporary)
        variables["ROPEJIT_DEVICE"] = "host"
        variables["ROPEJIT_HOST_CXX"] = str(self.scratch / "compiler.sh")
        variables["ROPEJIT_TEST_COMPILES"] = str(self.compiles)
        if keep:
            variables["ROPEJIT_TEST_KEPT"] = str(self.kept)
        if cache is not None:
            variables["ROPEJIT_CACHE_DIR"] = str(cache)
        variables.update({name: str(value) for name, value in more.items()})
        return variables

    def command(self, job, **arguments):
        return [str(self.scratch / "ropejit_worker"), job, *(f"{name}={value}" for name, value in arguments.items())]

    def start(self, command, environment, user=None, **more):
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        # A session of its own: what is killed is killed with the compilers it runs.
        process = subprocess.Popen(command, env=environment, cwd=self.scratch, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True, **identity, **more)
        self.started = [other for other in self.started if other.returncode is None] + [process]
        return process

    def worker(self, job, environment, user=None, timeout=300, before=(), **arguments):
        """Runs a worker to its end: (exit status, the last line it printed, as JSON, or None). `before`: a command that
        runs the worker, such as unshare's."""
        process = self.start([*before, *self.command(job, **arguments)], environment, user)
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            process.communicate()
            self.say(f"{job}: no end after {timeout} s")
            return None, None
        self.told = errors
        if errors:
            self.say(f"{job} on stderr: {errors[:2000].strip()}")
        return process.returncode, last_json(out)

    def program(self, *words, cache=None):
        """Runs `ropejit`: (exit status, stdout)."""
        done = subprocess.run([str(self.scratch / "ropejit"), *words], env=self.environment(cache), text=True,
                              capture_output=True, timeout=300)
        return done.returncode, done.stdout

    def listing(self, cache):
        """What `ropejit cache ls --json` says: a list of entries."""
        status, out = self.program("cache", "ls", "--json", cache=cache)
        return json.loads(out) if status == 0 else []

    def compiles_so_far(self):
        return len(self.compiles.read_text().splitlines())


def kill(process):
    """SIGKILL to the process and its children, as far as they stayed in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def last_json(text):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return None


def entries(cache):
    """Paths of a cache directory's entries."""
    return sorted(pathlib.Path(cache).glob("v1/entries/??/*.rje"))


def temporaries(cache):
    """Files that are being written, or were left by a process that was killed (cache/FORMAT.md names them)."""
    return sorted(path for path in pathlib.Path(cache, "v1").rglob(".*.*") if path.is_file())


def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    middle = median(values)
    return median([abs(value - middle) for value in values])


def now():
    return time.monotonic()
