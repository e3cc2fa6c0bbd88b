"""The cost of the shared database, as tables of at most 80 columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from contestants import OPTUNA, Side
from crew import Report
from prefilled import Task

TARGET = 1.3
"""Times plain Optuna's ask and tell that ours may cost."""


@dataclass(frozen=True)
class Run:
    """What one side took for one task."""

    side: Side
    task: Task
    workers: int
    report: Report

    @property
    def milliseconds(self) -> float:
        return self.report.milliseconds


def rates(runs: Sequence[Run]) -> str:
    """Milliseconds a trial by workers."""
    numbers = sorted({run.workers for run in runs})
    usual = next(run.task for run in runs)
    lines = [
        f"Milliseconds a trial, in {usual.studies} studies of {usual.each} finished trials",
        f"{'sampler, workers':<26}" + "".join(f"{number:>13}" for number in numbers),
    ]
    for sampler in dict.fromkeys(run.task.sampler for run in runs):
        mine = [run for run in runs if run.task.sampler == sampler]
        lines.append(sampler)
        for kind in dict.fromkeys((run.side, run.task.studies) for run in mine):
            side, studies = kind
            cells = []
            for number in numbers:
                run = _one(mine, side, number, studies)
                base = _one(mine, OPTUNA, number, usual.studies)
                cells.append(f"{_cell(run, base):>13}")
            name = f"{side}, one study" if studies != usual.studies else str(side)
            lines.append(f"  {name:<24}{''.join(cells)}")
        start = [max(run.report.ready_seconds for run in mine if run.workers == n) for n in numbers]
        lines.append(f"  {'longest start, s':<24}" + "".join(f"{one:>7.1f}{'':6}" for one in start))
    return "\n".join(
        [
            *lines,
            "Wall time until all is told, over trials; x: beside plain Optuna's ask, one attribute",
            "and tell with as many processes, in as many studies. ours: the calls of a worker in a",
            "loop; whole workers: with threads, leases, figures, and pauses when others hold what",
            "must be told first.",
        ]
    )


def ladders(runs: Sequence[Run]) -> str:
    """Networks a second by workers, where each training brings a ladder of them."""
    numbers = sorted({run.workers for run in runs})
    task = runs[0].task
    lines = [
        f"Networks a second, ladders of {task.rungs}, {task.studies} studies of {task.each}",
        f"{'workers':<26}" + "".join(f"{number:>13}" for number in numbers),
    ]
    for side in dict.fromkeys(run.side for run in runs):
        cells = []
        for number in numbers:
            run = next(run for run in runs if (run.side, run.workers) == (side, number))
            cells.append(f"{1e3 / run.milliseconds:.0f} {run.report.cpu_milliseconds:.1f} ms")
        lines.append(f"{side!s:<26}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join([*lines, "ms: processor time of workers and server for each."])


def summary(runs: Sequence[Run]) -> str:
    """The line that is judged."""
    number = min({run.workers for run in runs}, key=lambda one: abs(one - 16))
    mine = [run for run in runs if run.workers == number and run.task.sampler == "tpe"]
    base = _one(mine, OPTUNA, number, mine[0].task.studies)
    ours = [run for run in mine if run.side.name == "ours" and not run.side.whole]
    assert base is not None
    first, *rest = ((run.side.pack, run.milliseconds / base.milliseconds) for run in ours)
    others = ", ".join(f"{times:.2f} x in packs of {pack}" for pack, times in rest)
    return (
        f"claim + ask + record + tell at {number} workers: {ours[0].milliseconds:.1f} ms a trial, "
        f"{first[1]:.2f} x plain Optuna's ask + tell\n({others}); target: at most {TARGET} x."
    )


def before(runs: Sequence[Run]) -> str:
    """Milliseconds a trial by what the studies hold already."""
    sides = list(dict.fromkeys(run.side for run in runs))
    lines = [
        f"Milliseconds a trial by finished trials beforehand, {runs[0].workers} workers, tpe",
        f"{'finished, in studies':<24}" + "".join(f"{side!s:>18}" for side in sides),
    ]
    for task in dict.fromkeys(run.task for run in runs):
        mine = [run for run in runs if run.task == task]
        base = next(run for run in mine if run.side == OPTUNA)
        cells = "".join(f"{_cell(run, base):>18}" for run in mine)
        lines.append(f"{f'{task.each * task.studies:,} in {task.studies}':<24}{cells}")
    return "\n".join(
        [
            *lines,
            "In one study our workers wait for each generation of 16; plain Optuna's never wait.",
        ]
    )


def phases(runs: Sequence[Run]) -> str:
    """Where the time goes."""
    lines = []
    for run in runs:
        report = run.report
        lines += [
            f"{run.side}, {run.workers} workers: {run.milliseconds:.1f} ms a trial",
            f"  {'of a trial':<12}{'ms':>9}{'CPU ms':>9}{'transactions':>14}{'statements':>12}",
        ]
        total = [0.0] * 4
        for name, phase in report.phases.items():
            each = [
                1e3 * phase.seconds / report.trials,
                1e3 * phase.cpu_seconds / report.trials,
                phase.transactions / report.trials,
                phase.statements / report.trials,
            ]
            total = [one + other for one, other in zip(total, each, strict=True)]
            lines.append(_phase(name, each))
        lines += [_phase("all", total), ""]
    lines += [
        "ms: of all workers together; CPU: of the workers, not of the server. sample: the sampler;",
        "read: what it learns from; rest: outside of the calls.",
    ]
    return "\n".join(lines)


def _phase(name: str, each: Sequence[float]) -> str:
    wall, cpu, transactions, statements = each
    return f"  {name:<12}{wall:>9.2f}{cpu:>9.2f}{transactions:>14.2f}{statements:>12.2f}"


def _one(runs: Sequence[Run], side: Side, workers: int, studies: int) -> Run | None:
    for run in runs:
        if (run.side, run.workers, run.task.studies) == (side, workers, studies):
            return run
    return None


def _cell(run: Run | None, base: Run | None) -> str:
    if run is None or base is None:
        return ""
    return f"{run.milliseconds:.1f} {run.milliseconds / base.milliseconds:.2f}x"
