"""Doctor: findings about storage and machine that keep sweeps from running, with advice."""

from sweeper.operations.doctor.findings import Finding
from sweeper.operations.doctor.machine_checks import examine_machine
from sweeper.operations.doctor.storage_checks import examine_storage

__all__ = ["Finding", "examine_machine", "examine_storage"]
