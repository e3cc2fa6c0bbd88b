"""A sweep on a disk of twelve megabytes that fills up; run in a mount namespace of its own.

`unshare --mount python tests/support/full_disk.py FOLDER`: FOLDER becomes a small file system.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.fakes import small_sweep
from support.processes import wait_for
from support.worker_processes import assert_exact_records, ended, has, registered, workers
from sweeper.errors import StorageError
from sweeper.retry import RetryPolicy
from sweeper.store import Store


def refused(store: Store) -> str:
    """Write until there is no room; return what is said then."""
    try:
        for number in range(400):
            store.try_throttle("tiny", f"{number:050}", 1)
    except StorageError as error:
        return str(error)
    finally:
        store.close()
    raise AssertionError("the disk is not full")


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=True)
    url = f"sqlite:///{folder}/sweeps.db"
    sweep = small_sweep(search={"trials": 16, "in_flight": 4})
    store = registered(url, sweep)
    filler = folder / "filler"
    with workers(url, 2, "--delay", "0.2") as crew:
        wait_for(lambda: has(store, 4))
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        done = store.status("tiny").done
        # Whoever may wait a moment only is told in one line.
        said = refused(Store(url, patience=RetryPolicy(1.0)))
        assert "full" in said, said
        assert "\n" not in said
        out = folder / "report.html"
        report = subprocess.run(
            [sys.executable, "-m", "sweeper", "report", "tiny", "--out", str(out)],
            env={**os.environ, "SWEEPER_STORAGE": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert report.returncode in (1, 2), report
        [line] = report.stderr.splitlines()
        assert line.startswith("error: ")
        assert "No space left" in line, line
        assert all(one.poll() is None for one in crew), "a worker ended"
        assert store.status("tiny").done >= done
        filler.unlink()
        ended(crew)
    assert_exact_records(store, sweep)
    print("exact")


if __name__ == "__main__":
    main()
