"""What may keep sweeps from running well, and what to do about it: storage and machine."""

from sweeper.doctor.findings import Finding
from sweeper.doctor.machine import examine_machine
from sweeper.doctor.storage import examine_storage

__all__ = ["Finding", "examine_machine", "examine_storage"]
