"""Processes that have little: no /proc, or no more than a few file descriptors. Every launch succeeds and is right where
there is what it takes; else one line says what is missing. Nothing is left in TMPDIR or half written, and the next start,
which has everything, serves."""
import shutil
import subprocess

import harness

PLAN = 5  # with q and k
STANDARD = 3  # stdin, stdout, stderr
ENOUGH = 4  # descriptors beside them
# A /proc with nothing in it, and one that is not this process's: its descriptors are other files.
EMPTY_PROC = "mount -t tmpfs none /proc"
FALSE_PROC = EMPTY_PROC + " && mkdir -p /proc/self/fd && for n in $(seq 0 64); do echo no >/proc/self/fd/$n; done"


def before(commands):
    """A command that runs another one where `commands` have mounted things, seen by nobody else."""
    return ["unshare", "--mount", "sh", "-c", commands + ' && exec "$@"', "sh"]


class Bare:
    def __init__(self, test):
        self.test = test
        self.count = 0
        self.store = test.folder("prepared")
        _, result = test.worker("use", test.environment(self.store, keep=True), first=PLAN)
        test.right("a directory to begin with", result, 1)

    def copy(self, stored):
        self.count += 1
        cache = self.test.scratch / f"cache-{self.count}"
        if stored:
            shutil.copytree(self.store, cache)
        return cache

    def use(self, cache, command=(), **more):
        keep = more.pop("keep", True)
        return self.test.worker("use", self.test.environment(cache, keep=keep, **more), first=PLAN, before=command)

    def left(self, cache):
        """What a process should not have left."""
        return [*self.test.temporary.iterdir(), *harness.temporaries(cache)]

    def again(self, cache):
        """Whether the next start is right, from `cache`, without a word."""
        _, result = self.use(cache)
        return result is not None and result["right"] == 1 and result["warning_count"] == 0


STATES = {
    "entries": {"stored": True},
    "nothing stored": {"stored": False},
    "memory only": {"stored": False, "ROPEJIT_CACHE_DIR": ""},
    "the generic kernel": {"stored": False, "ROPEJIT_ON_MISS": "generic"},
    "compiling in the background": {"stored": False, "ROPEJIT_ON_MISS": "background"},
    "frozen": {"stored": True, "ROPEJIT_FROZEN": 1},
}


def without_proc(bare):
    test = bare.test
    if subprocess.run(before(EMPTY_PROC) + ["true"], capture_output=True).returncode != 0:
        test.say("skipped: mounts are not permitted here: no process without /proc")
        return
    for title, proc in (("no /proc", EMPTY_PROC), ("a false /proc", FALSE_PROC)):
        for what, state in STATES.items():
            more = dict(state)
            cache = bare.copy(more.pop("stored"))
            _, result = bare.use(cache, before(proc), **more)
            test.right(f"{title}, {what}", result, 1)
            left = bare.left(cache)
            test.check(f"{title}, {what}: nothing is left", not left, left or "")
            test.check(f"{title}, {what}: the next start serves", bare.again(cache))
    cache = bare.copy(False)
    _, result = bare.use(cache, before(EMPTY_PROC), keep=False)
    test.right("no /proc, the compiler itself", result, 1)
    test.check("no /proc: what was compiled serves", result is not None and set(result["rungs"]) == {"miss"},
               result and result["rungs"])

    # Neither way to load a binary.
    _, result = bare.use(bare.copy(True), before(EMPTY_PROC), TMPDIR=test.scratch / "no" / "folder")
    errors = result["errors"] if result else []
    test.check("no /proc and no folder for temporary files: one line says so",
               len(errors) == 1 and "\n" not in errors[0] and "/proc/self/fd" in errors[0] and
               "temporary folder" in errors[0], errors)

    nvrtc = test.program("info", "--json")[1]
    if '"available": true' not in nvrtc and '"available":true' not in nvrtc:
        test.say("skipped: no NVRTC: no compile for a GPU without /proc")
        return
    config = harness.HERE.parent / "data" / "models" / "llama-3.1-8b.json"
    output = test.scratch / "without-proc"
    done = subprocess.run(before(EMPTY_PROC) + [str(test.scratch / "ropejit"), "compile", "--model", str(config), "--arch",
                                                "sm_90", "--out", str(output)],
                          env=test.environment(""), text=True, capture_output=True, timeout=300)
    test.check("no /proc: NVRTC compiles", done.returncode == 0, done.stderr[:500])


def with_few_descriptors(bare):
    test = bare.test
    for what, state in STATES.items():
        right = []
        problems = []
        for number in range(STANDARD, STANDARD + (25 if test.long else 9)):
            more = dict(state)
            cache = bare.copy(more.pop("stored"))
            limit = ["sh", "-c", f'ulimit -n {number} && exec "$@"', "sh"]
            status, result = bare.use(cache, limit, **more)
            if result is None:
                # A program that cannot be loaded says so itself, and ran nothing of the library.
                if number > STANDARD or status in (0, None) or status < 0:
                    problems.append(f"{number}: status {status}")
            elif result["right"] == 1 and not result["wrong_count"] and not result["error_count"]:
                right.append(number - STANDARD)
            elif number >= STANDARD + ENOUGH or result["wrong_count"] or any("\n" in line for line in result["errors"]):
                problems.append(f"{number}: {(result['wrong'] + result['errors'])[:1]}")
            if bare.left(cache):
                problems.append(f"{number}: left {bare.left(cache)}")
            if not bare.again(cache):
                problems.append(f"{number}: the next start does not serve")
        test.check(f"few descriptors, {what}", not problems, "; ".join(problems) or f"right with {right} free ones")


def run(test):
    bare = Bare(test)
    without_proc(bare)
    with_few_descriptors(bare)
