"""Switches between two profiles with partitiond and with TuneD, one beside the other, and prints how long each
took, in seconds. It runs where TuneD was unpacked, in namespaces of its own, and so leaves nothing behind."""

import subprocess
import sys
import time

ROUNDS = int(sys.argv[1])
OURS = ["partitiond", "--quiet", "profile"]


def run(*command):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if ended.returncode != 0:
        sys.exit(f"{command} failed: {ended.stdout}{ended.stderr}")


def timed(*command):
    begun = time.perf_counter()
    run(*command)
    return time.perf_counter() - begun


def holds(name):
    """Whether every setting reads as this profile says."""
    for line in open(f"/{name}.list"):
        path, value = line.split()
        found = open(path).read().strip()
        if found != value:
            sys.exit(f"{path} is {found}, and should be {value}")


def tuned():
    run("dbus-uuidgen", "--ensure")
    run("dbus-daemon", "--system", "--fork")
    run("tuned", "--daemon")
    deadline = time.monotonic() + 60
    while subprocess.run(["tuned-adm", "list"], capture_output=True).returncode != 0:
        if time.monotonic() > deadline:
            sys.exit("TuneD does not answer")
        time.sleep(0.2)


tuned()
# The first time, Python writes what it has compiled, and our journal is made.
for name in ["other", "one"]:
    run("tuned-adm", "profile", name)
    run(*OURS, "apply", f"/{name}.ks", "--host")
for _ in range(ROUNDS):
    for name, before in [("other", "one"), ("one", "other")]:
        ours = timed(*OURS, "apply", f"/{name}.ks", "--host")
        holds(name)
        # Back, so that there is as much for TuneD to change.
        run(*OURS, "apply", f"/{before}.ks", "--host")
        holds(before)
        theirs = timed("tuned-adm", "profile", name)
        holds(name)
        # What TuneD made of it is nobody's drift.
        print("switch", ours, theirs, flush=True)
print("start", timed("tuned-adm", "--version"))
