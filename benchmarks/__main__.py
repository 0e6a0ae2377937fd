"""Run the benchmarks one after the other: `make bench`.

    python -m benchmarks [NAME ...] [--quick]

Each is a program of its own; run alone, it takes options. Results are printed, and kept as text
in bench-results/.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = Path("bench-results")
QUICK = {
    "front": ["--quick"],
    "fuzz": ["--requests", "2000"],
    "wps_grammar": ["--cases", "2000"],
    "gateway": ["--seconds", "2"],
    "getmap": ["--seconds", "2"],
    "publishing": ["--layers", "50", "--seconds", "2"],
    "job_list": ["--finished", "2000", "--queued", "500"],
    "job_queries": ["--jobs", "5000"],
    "kill_storm": ["--jobs", "20"],
    "large_inputs": ["--huge", "2", "--queued", "50"],
    "overhead": ["--jobs", "20"],
    "jpeg2tiff": ["--size", "2196"],
    "change_clouds": ["--seeds", "3", "--shares", "0.08", "--levels", "L2A"],
    "change_damage": ["--strength", "0.9"],
    "change_speed": ["--size", "2196"],
    "sar_series_speed": ["--size", "2048", "--dates", "2"],
    "s1tiling": ["--lines", "1500", "--samples", "2000"],
    "sar_change_speed": ["--size", "1098"],
    "pipeline": ["--sizes", "1098"],
    "dmg_df": ["--size", "2196"],
    "cluster": ["--quick"],
}
NEEDS = {  # only run by name
    "change_accuracy": "labelled images",
    "cluster": "a Kubernetes cluster",
    "cluster_queue": "a Kubernetes cluster",
    "interleave": "an image",
    "s1geometry": "a Sentinel-1 product",
    "sar_series": "images of one track",
}


def machine() -> str:
    """Say what the figures were taken on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} CPUs, {memory:.0f} GiB, {platform.machine()}, Python "
        f"{platform.python_version()}, load {load:.1f} before"
    )


def main() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="short runs, to see that they work")
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))} (there are: {', '.join(names)})")
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for name in sorted(NEEDS) if not options.names else ():
        print(f"== {name} is left out: it needs {NEEDS[name]}; see its --help", flush=True)
    for name in options.names or [name for name in names if name not in NEEDS]:
        print(f"== {name}: {machine()}", flush=True)
        command = [sys.executable, str(FOLDER / f"{name}.py")]
        command += QUICK.get(name, []) if options.quick else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        (RESULTS / f"{name}.txt").write_text(f"{machine()}\n{done.stdout}")
        if done.returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
