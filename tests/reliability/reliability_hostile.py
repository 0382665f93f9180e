"""Directories that are full, read-only, missing, somebody else's or made to deceive: every launch succeeds and is
right, and one line is reported for each event."""
import os
import pathlib
import random
import shutil
import subprocess

import harness

PLAN = 5  # with q and k
SOMEBODY = 12345


def damaged(path, how, chance):
    data = bytearray(path.read_bytes())
    if how == "a flipped byte":
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
    elif how == "a truncated entry":
        del data[chance.randrange(len(data)):]
    elif how == "random bytes":
        data = bytearray(chance.randbytes(chance.randrange(10_000)))
    elif how == "another entry's bytes":
        other = next(other for other in harness.entries(path.parents[3]) if other != path)
        data = bytearray(other.read_bytes())
    path.write_bytes(data)


def replaced(path, how, test):
    if how == "a symbolic link":
        elsewhere = test.scratch / f"elsewhere-{path.name}"
        if not elsewhere.exists():
            shutil.copy2(path, elsewhere)
            os.chown(elsewhere, path.stat().st_uid, path.stat().st_gid)
        path.unlink()
        path.symlink_to(elsewhere)
        return
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)


class Hostile:
    def __init__(self, test):
        self.test = test
        self.chance = random.Random(7)
        self.count = 0
        self.store = test.folder("prepared")
        status, result = test.worker("use", test.environment(self.store, keep=True), first=PLAN)
        test.right("a directory to begin with", result, 1)

    def copy(self, owner=None):
        """A directory with the plan's entries, of this user or `owner`."""
        self.count += 1
        cache = self.test.scratch / f"cache-{self.count}"
        shutil.copytree(self.store, cache)
        cache.chmod(0o700)
        if owner is not None:
            for path in (cache, *cache.rglob("*")):
                os.chown(path, owner, owner)
        return cache

    def judge(self, what, outcome, most, compiled=None, told=None):
        """`most`: warnings that are allowed; told: words that one of them must have. compiled: whether entries
        had to be compiled (False: all were read from disk)."""
        _, result = outcome
        test = self.test
        if result is None or result["right"] != 1 or result["wrong_count"] or result["error_count"]:
            test.right(what, result, 1)
            return
        warnings = result["warning_count"]
        problems = []
        if warnings > most:
            problems.append(f"{warnings} warnings, allowed: {most}")
        if told and not any(told in line for line in result["warnings"]):
            problems.append(f"nobody was told of {told!r}")
        if compiled is not None and (result["rungs"].get("miss", 0) > 0) != compiled:
            problems.append(f"entries were {'used' if compiled else 'refused'}: {result['rungs']}")
        found = "; ".join(problems) or f"{warnings} warnings"
        first = ", the first: " + result["warnings"][0].replace(str(test.scratch), "...") if warnings else ""
        test.check(f"right; {what}", not problems, found + first)

    def use(self, cache, user=None, before=(), **more):
        return self.test.worker("use", self.test.environment(cache, keep=True, **more), user, first=PLAN,
                                before=before)

    def again(self, what, cache, user=None):
        """After what was hostile was met once, the next start finds entries that serve."""
        self.judge(f"{what}, the next start", self.use(cache, user), 0, compiled=False)


def entries_that_are_not(hostile):
    for how in ("a flipped byte", "a truncated entry", "random bytes", "another entry's bytes"):
        for which in ("one", "all"):
            cache = hostile.copy()
            paths = harness.entries(cache)
            victims = paths[:1] if which == "one" else paths
            for path in victims:
                damaged(path, how, hostile.chance)
            what = f"{how}, {which}"
            hostile.judge(what, hostile.use(cache), len(victims), compiled=True, told="is not used")
            hostile.again(what, cache)
    for how in ("a symbolic link", "a folder", "a pipe"):
        cache = hostile.copy()
        path = harness.entries(cache)[0]
        replaced(path, how, hostile.test)
        # The write that follows meets it too: a folder cannot be replaced by a rename.
        hostile.judge(f"{how} in place of an entry", hostile.use(cache), 2, compiled=True, told="regular file")
    cache = hostile.copy()
    for path in harness.entries(cache):
        path.with_name("README").write_bytes(b"of another program")
        path.with_name(".hidden").write_bytes(b"")
        path.with_name("ab.rje").write_bytes(hostile.chance.randbytes(100))
    hostile.judge("files of other programs beside entries", hostile.use(cache), 0, compiled=False)


def directories_that_are_not(hostile):
    test = hostile.test
    path = test.scratch / "file"
    path.write_text("not a folder")
    hostile.judge("a file in place of the directory", hostile.use(path), 1, told="no bundle")
    cache = hostile.copy()
    shutil.rmtree(cache / "v1")
    (cache / "v1").write_text("not a folder")
    hostile.judge("a file in place of a folder in it", hostile.use(cache), 1, told="Not a directory")
    link = test.scratch / "dangling"
    link.symlink_to(test.scratch / "no" / "such" / "folder")
    hostile.judge("a dangling link in place of the directory", hostile.use(link), 1, told="No such file")
    hostile.judge("a name that is too long", hostile.use("/tmp/" + "x" * 300), 1, told="name too long")
    hostile.judge("a folder of /proc", hostile.use("/proc/self/no"), 1, told="No such file")
    hostile.judge("no HOME, no directory", hostile.use(None), 1)
    hostile.judge("a HOME that is not there", hostile.use(None, HOME=test.scratch / "no-home"), 0)
    hostile.judge("a HOME that cannot be made", hostile.use(None, HOME="/proc/no-home"), 1, told="/proc/no-home")
    hostile.judge("a relative HOME", hostile.use(None, HOME="home"), 1)


def removed_while_running(hostile):
    test = hostile.test
    cache = hostile.copy()
    process = test.start(test.command("serve"), test.environment(cache, keep=True), stdin=subprocess.PIPE)

    def ask(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return harness.last_json(process.stdout.readline())

    hostile.judge("before the directory is removed", (0, ask(f"get {PLAN}")), 0, compiled=False)
    shutil.rmtree(cache)
    hostile.judge("removed while running, the same plan", (0, ask(f"get {PLAN}")), 0)
    hostile.judge("removed while running, another plan", (0, ask("get 0")), 1)
    shutil.rmtree(cache, ignore_errors=True)
    hostile.judge("removed while running, a new service", (0, ask(f"new {PLAN}")), 1)
    shutil.rmtree(cache, ignore_errors=True)
    cache.write_text("a file now")
    hostile.judge("replaced by a file while running", (0, ask("new 1")), 1, told="no bundle")
    process.stdin.close()
    test.check("the process ends well", process.wait(60) == 0)
    process.stdout.close()
    process.stderr.close()


def without_a_compiler(hostile):
    test = hostile.test
    nothing = test.scratch / "no" / "compiler"
    hostile.judge("no compiler, entries on disk", hostile.use(hostile.copy(), ROPEJIT_HOST_CXX=nothing), 0,
                  compiled=False)
    hostile.judge("no folder for temporary files, entries on disk", hostile.use(hostile.copy(), TMPDIR=nothing), 0,
                  compiled=False)
    for what, more in {"no compiler, an empty directory": {"ROPEJIT_HOST_CXX": nothing},
                       "a compiler that fails, an empty directory": {"ROPEJIT_HOST_CXX": "/bin/false"},
                       "no folder for temporary files, an empty directory": {"TMPDIR": nothing}}.items():
        outcome = hostile.use(test.scratch / "empty", **more)
        hostile.judge(what, outcome, 1, told="the generic kernel serves")
        rungs = outcome[1]["rungs"].keys() if outcome[1] else set()
        test.check(f"{what}: the generic kernel served", rungs == {"generic"}, ", ".join(rungs))


def namespace(commands):
    """A command that runs another one where `commands` have mounted things, seen by nobody else."""
    return ["unshare", "--mount", "sh", "-c", commands + ' && exec "$@"', "sh"]


def mounts(hostile):
    test = hostile.test
    if subprocess.run(namespace("mount -t tmpfs none /mnt") + ["true"], capture_output=True).returncode != 0:
        test.say("skipped: mounts are not permitted here: no full disk, no read-only file system")
        return
    # The compiler's own files go elsewhere.
    for what, commands in {
        "a disk of 8 KiB": "mount -t tmpfs -o mode=700,size=8k none {0}",
        "a disk that is full":
            "mount -t tmpfs -o mode=700,size=64k none {0} && (cat /dev/zero >{0}/filler 2>&1 || true)",
        "a disk without inodes": "mount -t tmpfs -o mode=700,nr_inodes=2 none {0}",
        "a disk that fills while entries are written": "mount -t tmpfs -o mode=700,size=48k none {0}",
    }.items():
        cache = test.folder(f"mount-{len(list(test.scratch.iterdir()))}")
        # What is mounted is gone with the worker, so it is looked at there.
        looking = commands.format(cache) + ' && { "$@"; s=$?; find ' + str(cache) + \
            " -name '.*.rje.*' -type f | sed 's/^/left: /' >&2; exit $s; }"
        hostile.judge(what, hostile.use(cache, before=["unshare", "--mount", "sh", "-c", looking, "sh"]), 1,
                      told="No space left")
        test.check(f"{what}: no temporary file is left", "left:" not in test.told, test.told)
    cache = hostile.copy()
    readonly = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"
    hostile.judge("a read-only mount with entries", hostile.use(cache, before=namespace(readonly)), 0, compiled=False)
    cache = test.folder("read-only")
    readonly = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"
    hostile.judge("a read-only mount without entries", hostile.use(cache, before=namespace(readonly)), 1,
                  told="Read-only file system")
    cache = hostile.copy()
    damaged(harness.entries(cache)[0], "a flipped byte", hostile.chance)
    readonly = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"
    hostile.judge("a damaged entry on a read-only mount", hostile.use(cache, before=namespace(readonly)), 2,
                  told="checksum")


def others(hostile):
    """As a user who is not root, for whom permissions count."""
    test = hostile.test
    if os.geteuid() != 0:
        test.say("skipped: not root: no files of other users")
        return
    user = harness.NOBODY
    hostile.judge("nobody's own directory", hostile.use(hostile.copy(user), user), 0, compiled=False)
    for mode in (0o770, 0o777, 0o1777):
        cache = hostile.copy(user)
        cache.chmod(mode)
        hostile.judge(f"a directory of mode {mode:o}", hostile.use(cache, user), 1, compiled=True,
                      told=f"mode {mode:o}")
    for below in ("v1", "v1/entries"):
        cache = hostile.copy(user)
        (cache / below).chmod(0o777)
        hostile.judge(f"{below} of mode 777", hostile.use(cache, user), 1, compiled=True, told="mode 777")
    for mode in (0o660, 0o606):
        cache = hostile.copy(user)
        for path in harness.entries(cache):
            path.chmod(mode)
        hostile.judge(f"entries of mode {mode:o}", hostile.use(cache, user), 1, compiled=True, told=f"mode {mode:o}")
    cache = hostile.copy(user)
    for path in harness.entries(cache):
        os.chown(path, SOMEBODY, SOMEBODY)
        path.chmod(0o644)
    hostile.judge("somebody else's entries", hostile.use(cache, user), 1, compiled=True, told="owned by")
    cache = hostile.copy(SOMEBODY)
    for path in (cache, *cache.rglob("*")):
        path.chmod(0o755)
    hostile.judge("somebody else's directory", hostile.use(cache, user), 1, compiled=True, told="owned by")
    hostile.judge("a directory that cannot be entered", hostile.use(hostile.copy(SOMEBODY), user), 1, compiled=True,
                  told="Permission denied")
    cache = hostile.copy()
    for path in (cache, *cache.rglob("*")):
        path.chmod(0o755)
    hostile.judge("root's directory", hostile.use(cache, user), 0, compiled=False)

    cache = hostile.copy(user)
    replaced(harness.entries(cache)[0], "a symbolic link", test)
    hostile.judge("a symbolic link in place of an entry, as nobody", hostile.use(cache, user), 1, compiled=True,
                  told="symbolic link")
    for below in ("v1", "v1/entries", "shard"):
        cache = hostile.copy(user)
        folder = harness.entries(cache)[0].parent if below == "shard" else cache / below
        elsewhere = pathlib.Path(test.scratch) / f"elsewhere-{cache.name}"
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        hostile.judge(f"a symbolic link in place of {below}", hostile.use(cache, user), 1, compiled=True,
                      told="cannot open folder")


def run(test):
    hostile = Hostile(test)
    entries_that_are_not(hostile)
    directories_that_are_not(hostile)
    removed_while_running(hostile)
    without_a_compiler(hostile)
    mounts(hostile)
    others(hostile)
