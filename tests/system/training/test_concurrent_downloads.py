"""Downloads of a dataset that two processes ask for at once."""

import subprocess
import sys
from pathlib import Path


def test_two_processes_ask_for_data_at_once_and_one_downloads(tmp_path: Path) -> None:
    # The download itself is replaced: it writes real files slowly, and counts itself.
    program = f"""
import random, struct, sys, time
from pathlib import Path
import torchvision.datasets as tv
root = Path({str(tmp_path)!r})

def download(self):
    if self._check_exists():
        return
    with open(root / "downloads", "a") as log:
        log.write("x")
    time.sleep(0.5)
    raw = Path(self.raw_folder); raw.mkdir(parents=True, exist_ok=True)
    for stem, n in (("train", 60000), ("t10k", 10000)):
        head = struct.pack(">4B3I", 0, 0, 8, 3, n, 28, 28)
        (raw / f"{{stem}}-images-idx3-ubyte").write_bytes(head + random.randbytes(n * 784))
        labels = bytes(i % 10 for i in range(n))
        head = struct.pack(">4BI", 0, 0, 8, 1, n)
        (raw / f"{{stem}}-labels-idx1-ubyte").write_bytes(head + labels)

tv.MNIST.download = download
from sweeper.training.datasets import fetch
fetch("fashion-mnist", root)
"""
    children = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [child.wait(timeout=240) for child in children] == [0, 0]
    assert (tmp_path / "downloads").read_text() == "x"
