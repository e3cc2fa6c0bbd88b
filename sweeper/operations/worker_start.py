"""Start of workers: on this machine or on Ray, with the options of either checked."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.errors import InputError, choices
from sweeper.settings import sweep_folder
from sweeper.store import Store
from sweeper.worker.launch import local_workers
from sweeper.worker.launch.machine import Machine
from sweeper.worker.launch.placement import idle_gpus, worker_places, worker_share, worker_variables


def worker_starter(
    on: str,
    *,
    sweep: Sweep,
    workers: int | None,
    cpus: float | None,
    gpus: float | None,
    address: str | None,
    device: str,
    on_note: Callable[[str], None] | None,
) -> Callable[..., None]:
    """Return the function that starts workers, once its options are checked. Raises InputError."""
    if on == "local":
        if address is not None:
            raise InputError("address: is that of a cluster, which goes together with ray")
        machine = Machine.here()
        places = worker_places(sweep, machine, device, workers, cpus=cpus, gpus=gpus)
        is_as_said = sweep.script is not None and device == "auto" and gpus is None
        if is_as_said and on_note and (line := idle_gpus(machine, worker_share(sweep))):
            on_note(f"{sweep.name}: {line}")

        def start(name: str, store: Store, **options: Any) -> None:
            few = places[: store.most_workers]
            options["devices"] = tuple(place.device for place in few)
            options["variables"] = tuple(place.variables for place in few)
            options["on_note"] = on_note or (lambda line: None)
            local_workers.run_workers(name, store, logs=logs_folder(name), **options)

        return start
    if on != "ray":
        raise InputError(f"on: no such place: {choices(on, ('local', 'ray'))}")
    if device != "auto":
        raise InputError(f"device: on ray it follows from gpus, got {device!r}")
    if workers is not None and workers < 1:
        raise InputError(f"workers: must be >= 1, got {workers}")
    from sweeper.worker.launch import ray_connection, ray_workers

    ray_connection.check_installed()
    share = worker_share(sweep, cpus=cpus, gpus=gpus)
    return partial(
        ray_workers.run_on_ray,
        share=share,
        variables=worker_variables(sweep, share),
        address=address,
        workers=workers,
        on_note=on_note or (lambda line: None),
    )


def logs_folder(name: str) -> Path:
    """Return the folder of the logs of a sweep's workers."""
    return sweep_folder(name) / "logs"
