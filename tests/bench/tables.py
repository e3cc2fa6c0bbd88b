"""Measurements as tables of at most 100 columns."""

from collections.abc import Sequence

from contests import NAMES, TOLERANCE, Rate
from floor import Floor
from growth import TARGET as BOOKKEEPING_TARGET
from growth import Bookkeeping, Mixed
from memory import TARGET as MEMORY_TARGET
from memory import Memory
from work import Work


def rates(
    found: Sequence[Rate], work: Work, processes: int, rounds: int, floor: Floor | None
) -> str:
    """Trials per hour of each contestant."""
    head = (
        f"{'contestant':<24}{'trials':>7}{'trials/h':>9}{'+ start':>9}{'ours is':>9}{'ms/step':>9}"
        f"{'pruned %':>15}{'as trained %':>15}"
    )
    of_work = (
        f"Trials per hour: LeNet-300-100 on {work.dataset}, {work.epochs} + {work.finetune_epochs} "
        f"epochs at batch {work.batch_size} ({work.steps} steps), {processes} processes"
    )
    lines = [of_work, head]
    ours = next((one.per_hour for one in found if one.name == "ours"), 0.0)
    for one in found:
        if one.skipped:
            lines.append(f"{NAMES[one.name]:<24}  skipped: {one.skipped}")
            continue
        name = NAMES[one.name] + (f", packs of {one.pack}" if one.name == "ours" else "")
        flag = " !" if one.differs else ""
        lines.append(
            f"{name:<24}{one.trials:>7}{one.per_hour:>9.0f}{one.per_hour_with_start:>9.0f}"
            f"{_times(ours, one.per_hour):>9}{one.step_milliseconds(work, processes):>9.2f}"
            f"{_accuracy(one.pruned, one.pruned_spread):>15}"
            f"{_accuracy(one.as_trained, one.as_trained_spread):>15}{flag}"
        )
    if floor:
        fastest = min(packed.products for packed in floor.packs)
        for name, least in (
            ("floor: square GEMM", floor.milliseconds),
            ("floor: own GEMM", fastest),
        ):
            an_hour = 3.6e6 * processes / (least * work.steps)
            lines.append(
                f"{name:<24}{'':>7}{an_hour:>9.0f}{'':>9}{_times(ours, an_hour):>9}{least:>9.2f}"
            )
    own = next((one for one in found if one.name == "ours" and not one.skipped), None)
    if own:
        took = f"Ours took {own.seconds:.1f} s for {own.trials} trials"
        lines.append(f"{took}, {own.total_seconds:.1f} s with the start of processes.")
    best = "" if rounds == 1 else f" Best of {rounds} rounds in alternating order."
    lines += [
        "Every trial is the same work; slow contestants run fewer of them." + best,
        "trials/h from the first trial's start to the last one's end; + start: processes too.",
        "ms/step: time of one core, judging and all else included. Accuracy on test images, +- is",
        f"the deviation over trials; ! means more than {TOLERANCE:.1%} from ours on equal trials.",
    ]
    return "\n".join(lines)


def steps(found: Floor) -> str:
    """A step beside its matrix products."""
    head = f"{'pack':>6}{'no penalty':>12}{'with L1':>10}{'(i) plain':>12}{'(i) L1':>10}"
    lines = [
        f"A step, ms per network: {found.flops / 1e6:.1f} MFLOP in matrix products; large square "
        f"ones run at {found.square_rate / 1e9:.1f} GFLOP/s",
        head + f"{'own GEMM':>12}{'GFLOP/s':>10}{'(ii) plain':>12}{'(ii) L1':>10}",
    ]
    for one in found.packs:
        square, own = found.milliseconds, one.products
        lines.append(
            f"{one.pack:>6}{one.plain:>12.2f}{one.l1:>10.2f}{square / one.plain:>12.0%}"
            f"{square / one.l1:>10.0%}{own:>12.2f}{one.rate / 1e9:>10.1f}{own / one.plain:>12.0%}"
            f"{own / one.l1:>10.0%}"
        )
    best = found.best
    hand = found.handwritten
    lines += [
        f"hand-written loop, with L1: {hand:.2f} ms, {found.milliseconds / hand:.0%} of (i)",
        f"Best: {best.pack} networks, {found.milliseconds / best.l1:.0%} of (i) and "
        f"{best.products / best.l1:.0%} of (ii) with L1.",
        f"(i): share that the products would take at the square rate, {found.milliseconds:.2f} ms; "
        "(ii): that they take alone.",
        "Least times of rounds in which all take turns, on one thread.",
    ]
    return "\n".join(lines)


def growth(arms: Sequence[Mixed], trials: Sequence[Bookkeeping], seconds: float) -> str:
    """A step with many arms in a pack; bookkeeping in large studies."""
    lines = [
        "Arms in a pack of 16: ms a step and network",
        f"{'arms':>6}{'together':>10}{'alone':>8}",
    ]
    lines += [f"{one.arms:>6}{one.together:>10.2f}{one.alone:>8.2f}" for one in arms]
    lines += [
        "alone: the mean of the same penalties, each in a pack of its own.",
        "",
        f"Bookkeeping of one trial beside its training ({seconds:.2f} s in a pack of 16), SQLite",
        f"{'sampler':>9}{'finished':>10}{'ms':>8}{'share':>8}",
    ]
    for one in trials:
        over = one.finished == 500 and one.share > BOOKKEEPING_TARGET
        text = f"{one.sampler:>9}{one.finished:>10}{one.milliseconds:>8.1f}{one.share:>8.2%}"
        lines.append(text + (" over" if over else ""))
    return "\n".join([*lines, f"Target: under {BOOKKEEPING_TARGET:.0%} at 500 finished trials."])


def memory(found: Sequence[Memory]) -> str:
    """Peak memory of each further network."""
    lines = ["Peak memory of each further network, MB", f"{'':>6}{'steps':>8}{'and judging':>13}"]
    for optimizer in dict.fromkeys(one.optimizer for one in found):
        of = {one.what: one.megabytes for one in found if one.optimizer == optimizer}
        over = " over" if optimizer == "sgd" and max(of.values()) > MEMORY_TARGET else ""
        lines.append(f"{optimizer:>6}{of['steps']:>8.1f}{of['train']:>13.1f}{over}")
    return "\n".join([*lines, f"Target: at most {MEMORY_TARGET:.0f} under SGD."])


def _times(ours: float, other: float) -> str:
    return f"{ours / other:.2f}x" if ours else ""


def _accuracy(mean: float, spread: float) -> str:
    return f"{100 * mean:.2f} +- {100 * spread:.2f}"
