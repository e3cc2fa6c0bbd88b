"""All that a GPU is asked in one go, in eight minutes at most: one JSON and one table.

    python tests/bench/gpu.py [--out FOLDER] [--device cuda] [--seconds 480] [--quick]
        [--only tests,step,ours,jax,loop]

First the tests marked `gpu`: the same as a CPU to rounding with every method and optimizer, graphs,
fused steps, packs, the end of memory, two workers on one GPU, dropout, convolutions. Then steps
beside their matrix products, and 1,000 trials of 20 epochs by `throughput.py --gpu-full`, beside
JAX and the hand-written loop. What hangs is ended, and all that came before it is written.

`--device cpu --quick` goes the same way here, with a few tests and trials. A place is left for
ladders of densities: a line in `parts`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

BENCH = Path(__file__).parent
ROOT = BENCH.parent.parent
TESTS = "tests/system/training/test_on_a_gpu.py"
LAST_SECONDS = 5.0
"""That a process has between SIGTERM and SIGKILL."""
QUICK = "fused"
DEVICE_VARIABLE = "SWEEPER_TEST_DEVICE"


@dataclass(frozen=True)
class Part:
    """A program that is run, and how long it may take."""

    name: str
    command: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a part."""

    name: str
    state: str
    """done, failed or timed out."""
    seconds: float
    output: str
    errors: str
    """Its last lines."""


def parts(device: str, folder: Path, *, quick: bool) -> list[Part]:
    """Return the parts in their order: what tells most comes first."""
    python = sys.executable
    junit = ("-m", "gpu", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={folder / 'tests.xml'}")
    tests = (python, "-m", "pytest", "-q", TESTS, *junit, *(("-k", QUICK) if quick else ()))
    kind = ("--quick",) if quick else ("--gpu-full",) if device == "cuda" else ()
    measure = (python, str(BENCH / "throughput.py"), "--device", device, "--json", *kind)
    rounds = ("--rounds", "1", "--trials", "2")
    return [
        Part("tests", tests, 150),
        Part("step", (*measure, "--part", "step"), 60),
        *(
            Part(name, (*measure, "--part", "rates", "--only", name, *rounds), seconds)
            for name, seconds in (("ours", 180), ("jax", 120), ("loop", 60))
        ),
    ]


def run(part: Part, folder: Path, left: float, variables: Mapping[str, str]) -> Outcome:
    """Run a part within its time and what is left of all, and end what is left of its session."""
    began = time.monotonic()
    out, err = folder / f"{part.name}.out", folder / f"{part.name}.err"
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code = process.wait(max(0.0, min(part.seconds, left - LAST_SECONDS)))
            state = "failed" if code else "done"
        except subprocess.TimeoutExpired:
            state = "timed out"
        finally:
            _end(process)
    lines = err.read_text(errors="replace").splitlines()
    return Outcome(
        part.name,
        state,
        round(time.monotonic() - began, 1),
        out.read_text(errors="replace"),
        "\n".join(lines[-5:]),
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started in its session."""
    deadline = time.monotonic() + LAST_SECONDS - 1
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        while number == signal.SIGTERM and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    process.wait()


def measured(outcome: Outcome, folder: Path) -> Any:
    """Return the figures of a part: outcomes of tests by name, or what `throughput` gives."""
    if outcome.name == "tests":
        file = folder / "tests.xml"
        return _tests(file) if file.exists() else {}
    return json.loads(outcome.output) if outcome.state == "done" else {}


def _tests(file: Path) -> dict[str, str]:
    outcomes = {}
    for case in ElementTree.parse(file).iter("testcase"):
        marks = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
        outcomes[case.get("name", "")] = marks[0] if marks else "passed"
    return outcomes


def table(outcomes: Sequence[Outcome], figures: Mapping[str, Any], device: str) -> str:
    """Return the table: a line for each part, then tests that did not pass and the rates."""
    lines = [f"On {device}", f"{'part':<8}{'state':<12}{'s':>7}"]
    lines += [f"{one.name:<8}{one.state:<12}{one.seconds:>7.1f}" for one in outcomes]
    for one in outcomes:
        if one.state != "done" and one.errors:
            lines.append(f"{one.name}: {one.errors.splitlines()[-1]}")
    tests = figures.get("tests") or {}
    lines.append(f"{sum(way == 'passed' for way in tests.values())} of {len(tests)} tests passed")
    lines += [f"  {way}: {name}" for name, way in tests.items() if way != "passed"]
    for packed in (figures.get("step") or {}).get("step", {}).get("packs", ()):
        lines.append(
            f"a step with L1, {packed['pack']:>4} networks: {packed['l1']:.3f} ms each, its "
            f"products {packed['products']:.3f}"
        )
    for name in ("ours", "jax", "loop"):
        for rate in (figures.get(name) or {}).get("rates", ()):
            lines.append(
                f"{name}: {rate['skipped']}"
                if rate.get("skipped")
                else f"{name}: {rate['trials']} trials in {rate['seconds']:.1f} s, "
                f"{rate['per_hour']:.0f} an hour; {rate['pruned']:.2%} right after pruning"
            )
    return "\n".join(lines)


def measure(
    device: str, folder: Path, seconds: float, *, quick: bool, only: Sequence[str] = ()
) -> bool:
    """Run all parts, or some, within `seconds`; write `gpu.json` and `gpu.txt` after each."""
    ends = time.monotonic() + seconds
    outcomes: list[Outcome] = []
    figures: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts(device, folder, quick=quick):
        if only and part.name not in only:
            continue
        variables = {DEVICE_VARIABLE: device}
        outcome = run(part, folder, ends - time.monotonic(), variables)
        outcomes.append(outcome)
        figures[part.name] = measured(outcome, folder)
        known = {
            "device": device,
            "parts": [{**asdict(one), "output": ""} for one in outcomes],
            "figures": figures,
        }
        (folder / "gpu.json").write_text(json.dumps(known, indent=2))
        (folder / "gpu.txt").write_text(table(outcomes, figures, device) + "\n")
        print(f"{part.name}: {outcome.state} after {outcome.seconds} s", file=sys.stderr)
    print((folder / "gpu.txt").read_text(), end="")
    return all(one.state == "done" for one in outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description="all that a GPU is asked, in eight minutes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu-bench"))
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="parts, by comma")
    given = parser.parse_args()
    only = [name.strip() for name in given.only.split(",") if name.strip()]
    folder = given.out.absolute()
    if unknown := {*only} - {part.name for part in parts(given.device, folder, quick=False)}:
        parser.error(f"--only: no such part: {min(unknown)}")
    if not measure(given.device, folder, given.seconds, quick=given.quick, only=only):
        sys.exit(1)


if __name__ == "__main__":
    main()
