"""Pictures that two processes ask for at once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def test_two_processes_ask_for_pictures_at_once_and_one_reads(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        folder = tmp_path / "pictures" / label
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.full((4, 4), 10 * number + len(label), dtype=np.uint8)
            pixels[0, 0] = label == "cat"
            Image.fromarray(pixels).save(folder / f"{number}.png")
    program = f"""
import time
from pathlib import Path
from sweeper.training import datasets, image_folder
root = Path({str(tmp_path)!r})
read = image_folder._read

def slowly(*arguments):
    with open(root / "reads", "a") as log:
        log.write("x")
    time.sleep(1)
    return read(*arguments)

image_folder._read = slowly
print(datasets.load("images", root, options=(("folder", "pictures"),)).hash)
"""
    children = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    hashes = {child.communicate(timeout=240)[0] for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert (tmp_path / "reads").read_text() == "x"
    assert len(hashes) == 1
