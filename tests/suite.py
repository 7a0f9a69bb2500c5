#!/usr/bin/env python3
"""Builds and runs the tests: every integration test as a process of its own, with a limit of its own.

    tests/suite.py [--build | --built] [--jobs N] [--times N] [--beside PID] [WORD…]      only tests whose name has one of the words

--build compiles and lints, and runs nothing; --built runs what was compiled last. --times N runs each test N times. Tests that have to
be alone wait for the end of process PID. MQDECK_TEST_PATIENCE=N makes every limit N times as long. What each test took is in
target/tmp/times.txt afterwards.

Why not libtest alone: it runs tests as threads of one process. One that hangs holds up all of them without being named, one that
crashes takes all of them along, and as many run at a time as there are cores, although nearly all of them wait for a server nearly
all of the time. Why not cargo-nextest: it would have to be compiled on every fresh machine. Python is there, other languages' clients
need it. `cargo test` by itself works as well, and starts the servers that it needs.

Servers that tests share are started by tests/servers/shared while cargo compiles. The tests are compiled by clippy's driver, which is
the compiler with lints: they are linted and built in one go, and the crates that we depend on are compiled once for both.
"""

import argparse
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TMP = ROOT / "target" / "tmp"
PATIENCE = int(os.environ.get("MQDECK_TEST_PATIENCE") or 1)

# How many run at a time: they wait more than they work. Beside them run those that start a heavy server of their own, or several.
JOBS, HEAVY_JOBS = 6, 3
# In seconds. What takes longer hangs. Those that start servers of their own wait for their turn to do so as well.
LIMIT, HEAVY_LIMIT, UNIT_LIMIT = 300, 600, 600
# A test starts a heavy server of its own, or several, by one of these calls.
HEAVY_CALL = re.compile(r"\b(?:kafka::own|rabbitmq::own|rabbitmq::cluster)\(")
# Tests by the beginning of their names. Heavy ones as well, because of what they have in memory or start in another way:
HEAVY = ["contract::bounded::", "console::demo::"]
# Those that take longest begin first, so that none of them is waited for at the end.
FIRST = [
    "faults::transactions::brokers_that_die",
    "faults::rabbitmq_cluster::",
    "faults::cluster::",
    "contract::kafka_link::a_leader_that_is_killed",
    "faults::coordinator::",
    "faults::leaderless::",
    "faults::transactions::",
    "contract::random_topics::",
    "faults::",
    "console::",
]
# These run when nothing else does: they flood their server and us.
ALONE = [
    "faults::mqtt_flood::",
    "faults::nats::a_flood_that_nobody_reads",
    "faults::redis::large_messages_that_nobody_reads",
    "contract::rabbitmq::a_tail_that_nobody_reads",
]


@functools.cache
def heavy_by_their_code():
    """The names of the tests that start a heavy server of their own."""
    found = set()
    for path in (ROOT / "tests").rglob("*.rs"):
        module = "::".join(path.relative_to(ROOT / "tests").with_suffix("").parts)
        # What follows a function's name up to the next function is taken for its body.
        for name, body in re.findall(r"\bfn (\w+)(.*?)(?=\bfn \w|\Z)", path.read_text(), re.S):
            if HEAVY_CALL.search(body):
                found.add(f"{module}::{name}")
    return found


class Test:
    """One integration test, or the whole of a program with unit tests."""

    def __init__(self, program, name=None):
        self.program, self.name = program, name
        self.title = name or f"all of {Path(program).name.rsplit('-', 1)[0]}"
        self.is_heavy = name in heavy_by_their_code() or self.rank(HEAVY) is not None
        self.limit = PATIENCE * (UNIT_LIMIT if not name else HEAVY_LIMIT if self.is_heavy else LIMIT)
        self.took = 0.0

    def rank(self, starts):
        """Its place among tests with these beginnings of names; None if it has none of them."""
        return next((n for n, start in enumerate(starts) if self.name and self.name.startswith(start)), None)

    def run(self):
        """Runs it; None if it succeeded, else what is to be shown."""
        # Unit tests work rather than wait; what they print is shown by libtest.
        arguments = ["--exact", self.name, "--nocapture"] if self.name else []
        with tempfile.TemporaryFile(dir=TMP) as output:
            began = time.monotonic()
            child = subprocess.Popen(
                [self.program, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
            RUNNING.add(child)
            try:
                end = f"exit code {child.wait(self.limit)}"
            except subprocess.TimeoutExpired:
                end = f"HANGS: killed after {self.limit:.0f} s"
            finally:
                end_session(child)
                RUNNING.discard(child)
            self.took = time.monotonic() - began
            output.seek(0)
            text = output.read().decode(errors="replace")
        # One whose name is not found is no success.
        ran = re.search(r"test result: ok\. (\d+) passed", text)
        if end == "exit code 0" and ran and ran[1] != "0":
            return None
        return f"{text.rstrip()}\n{self.title}: {end}{self.unfinished(text) if not self.name else ''}"

    def unfinished(self, text):
        """The unit tests that had not ended, those that libtest names as slow."""
        slow = set(re.findall(r"^test (\S+) has been running for over", text, re.M))
        return "".join(f"\n  not ended: {name}" for name in sorted(slow - set(re.findall(r"^test (\S+) \.\.\. ", text, re.M))))


RUNNING = set()


def end_session(child):
    """Ends a test with all that it started, but servers, which have guards that notice."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def build():
    """Compiles all tests and benchmarks; the test programs by target name, empty if that failed, and whether there was any warning."""
    # Our own crate without optimisation: it compiles in half the time, and the tests wait for servers anyway. What we depend on is
    # compiled as `cargo run` compiles it, and shared with it.
    environment = os.environ | {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CARGO_PROFILE_DEV_OPT_LEVEL": "0"}
    form = "json-diagnostic-rendered-ansi" if sys.stdout.isatty() else "json"
    command = [os.environ.get("CARGO", "cargo"), "build", "--locked", "--lib", "--bins", "--tests", "--benches", f"--message-format={form}"]
    programs, warnings = {}, set()
    cargo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    for line in cargo.stdout:
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        if message["reason"] == "compiler-message" and message["message"]["level"] in ("warning", "error"):
            warnings.add(message["message"]["rendered"])
        kinds = message.get("target", {}).get("kind", [])
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"] and kinds != ["bench"]:
            programs["/".join([*kinds, message["target"]["name"]])] = message["executable"]
    print(*sorted(warnings), sep="\n", end="", flush=True)
    return programs if cargo.wait() == 0 else {}, bool(warnings)


# Beginnings of names above that no test has (any more).
STALE = []


def tests(programs, words):
    """The tests of these programs: integration tests one by one, of others the whole."""
    wanted = lambda title: not words or any(word in title for word in words)
    found = []
    for kind, program in programs.items():
        listed = subprocess.run([program, "--list", "--format", "terse"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
        names = [name.removesuffix(": test") for name in listed.splitlines() if name.endswith(": test")]
        if kind != "test/all":
            found += [test for test in [Test(program)] if names and wanted(test.title)]
            continue
        STALE.extend(start for start in [*HEAVY, *ALONE, *FIRST] if not any(name.startswith(start) for name in names))
        found += [Test(program, name) for name in names if wanted(name)]
    # Unit tests work all the time: before all others.
    place = lambda test: -1 if not test.name else len(FIRST) if test.rank(FIRST) is None else test.rank(FIRST)
    return sorted(found, key=place)


def run(*groups):
    """Runs groups of tests beside each other, of each so many at a time; those that failed."""
    failed, lock = [], threading.Lock()

    def one(test):
        shown = test.run()
        with lock:
            print(f"{'ok    ' if shown is None else 'FAILED'} {test.took:6.1f} s  {test.title}", flush=True)
            if shown is not None:
                failed.append(test)
                print(f"{shown}\n", flush=True)

    pools = [ThreadPoolExecutor(jobs) for jobs, _ in groups]
    try:
        # A fault of our own is told by taking the results.
        for result in [result for pool, (_, tests) in zip(pools, groups) for result in map(pool.submit, [one] * len(tests), tests)]:
            result.result()
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for child in list(RUNNING):
            end_session(child)
    return failed


def wait_for(what, holds):
    """Waits for something that is sure to come, and goes on without it if it does not."""
    until = time.monotonic() + 600 * PATIENCE
    while not holds():
        if time.monotonic() > until:
            print(f"{what}: not there after 10 minutes", flush=True)
            return
        time.sleep(0.1)


def is_over(pid):
    """Whether a process has ended, also where nobody has asked for its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--built", action="store_true")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--beside", type=int)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    # Whoever ends us ends what we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    TMP.mkdir(parents=True, exist_ok=True)
    if not os.environ.get("MQDECK_TEST_SERVERS") and not options.build:
        place = TMP / f"servers.{os.getpid()}"
        os.environ["MQDECK_TEST_SERVERS"] = str(place)
        subprocess.Popen([ROOT / "tests/servers/shared", place, str(os.getpid())], stdin=subprocess.DEVNULL)
    known = TMP / "programs.json"
    if options.built:
        programs = json.loads(known.read_text())
    else:
        programs, warned = build()
        known.write_text(json.dumps(programs))
        if options.build or not programs:
            return 0 if programs and not warned else 1
    wait_for("the servers", lambda: (Path(os.environ["MQDECK_TEST_SERVERS"]) / "done").exists())
    os.environ["INSTA_WORKSPACE_ROOT"] = str(ROOT)
    found = [test for _ in range(options.times) for test in tests(programs, options.words)]
    alone = [test for test in found if test.rank(ALONE) is not None]
    heavy = [test for test in found if test.is_heavy and test not in alone]
    others = [test for test in found if test not in alone + heavy]
    began = time.monotonic()
    failed = run((HEAVY_JOBS, heavy), (options.jobs, others))
    if options.beside:
        wait_for("what runs beside", lambda: is_over(options.beside))
    failed += run((1, alone))
    slowest = sorted(found, key=lambda test: -test.took)
    (TMP / "times.txt").write_text("".join(f"{test.took:8.1f}  {test.title}\n" for test in slowest))
    print(f"\n{len(found)} tests in {time.monotonic() - began:.0f} s, {len(failed)} failed; the slowest:")
    print(*(f"{test.took:8.1f} s  {test.title}" for test in slowest[:10]), sep="\n")
    if failed:
        print("failed:", *(f"  {test.title}" for test in failed), sep="\n")
    if STALE:
        print("no test has such a name, which tests/suite.py treats in a way of its own:", *sorted(set(STALE)), sep="\n  ")
    return 1 if failed or STALE else 0


if __name__ == "__main__":
    sys.exit(main())
