"""Ray connection: to a cluster, or to a private Ray that is started and ended here."""

import ipaddress
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sweeper.errors import InputError, Interrupted, first_line
from sweeper.worker.launch.machine import Machine

CONNECT_SECONDS = 5.0
"""In which the head of a cluster has to take a connection."""


@contextmanager
def connected(address: str | None, machine: Machine) -> Iterator[Any]:
    """Connect to a cluster, or to a private Ray in a `with` block; yield Ray. Raises InputError."""
    check_installed()
    private = address is None
    # Read when Ray is loaded. Nothing is sent anywhere, and nothing listens to the network: the
    # latter is Ray's mode for laptops with a firewall, for it takes no loopback address as it is.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # else 30 lines when a node dies
    if private:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # When this process is killed, workers see it and give their slots back.
        os.environ["RAY_kill_child_processes_on_worker_exit"] = "0"  # noqa: SIM112
    else:
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # else 14 minutes
    import ray

    if ray.is_initialized():
        raise InputError("ray: this process is connected already, call ray.shutdown() first")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if private:
        if not ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback:
            raise InputError(
                "ray: this process has loaded one that is open to the network: start anew"
            )
        options |= {
            "num_cpus": machine.cores,
            "num_gpus": machine.gpus,
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,  # nearly the least: no data go through it
        }
    else:
        address = _answering(ray, str(address))
    try:
        try:
            with _in_root_folder():
                ray.init(address or "local", **options)
        except SystemExit:  # how Ray takes SIGTERM
            raise Interrupted("stopped by SIGTERM") from None
        except Exception as error:
            reason = first_line(error)
            problem = f"{address} cannot be used" if address else "cannot be started"
            raise InputError(f"ray: {problem}: {reason}") from error
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _in_root_folder() -> Iterator[None]:
    """Be in the root folder in a `with` block.

    Ray puts the current one before all others where its workers look for modules: a numpy.py that
    lies there would be run, and they would not begin.
    """
    folder = Path.cwd()
    os.chdir("/")
    try:
        yield
    finally:
        os.chdir(folder)


def check_installed() -> None:
    """Raise InputError if there is no Ray."""
    if find_spec("ray") is None:
        raise InputError("ray: is not installed: pip install 'sweeper[ray]'")


def _answering(ray: Any, address: str) -> str:
    """Return an address if its head takes connections: Ray would try a dead one for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    try:
        place = address.removeprefix("ray://")
        if place == address:
            place = ray._private.services.canonicalize_bootstrap_address_or_die(address)
        host, _, port = place.rpartition(":")
        number = int(port)
    except ConnectionError:
        raise InputError("ray: no cluster runs on this machine, --address says where") from None
    except ValueError:
        allowed = "auto, HOST:PORT or ray://HOST:PORT"
        raise InputError(f"ray: --address: must be {allowed}, got {address!r}") from None
    try:
        socket.create_connection((host.strip("[]"), number), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"ray: {address}: cannot be reached: {reason}") from None
    return address
