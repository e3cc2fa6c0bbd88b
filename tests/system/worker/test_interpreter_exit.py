"""The end of an interpreter whose background thread hangs."""

import subprocess
import sys

from support.paths import ROOT


def test_a_job_that_hangs_does_not_keep_the_process_alive() -> None:
    script = """if True:
        import contextlib, time
        from sweeper.worker.background_thread import BackgroundThread

        with BackgroundThread(contextlib.nullcontext) as background:
            background.submit(lambda _: time.sleep(600))
            background.submit(lambda _: print("never"))
        print("left")
    """
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "left\n", "")
