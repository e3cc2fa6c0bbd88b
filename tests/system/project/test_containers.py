"""docker-compose.yml on a real engine: built, started, asked from outside, ended.

Skipped by name where no engine answers; the commands themselves are tested everywhere.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

STUDY = """\
name: tiny
dataset: digits
model: mlp(16)
training: {epochs: 2, batch_size: 64}
sparsification: {density: 0.2, finetune_epochs: 1, floor: 0.2}
search: {trials: 2, in_flight: 2}
targets: {accuracy: [0.5], nonzero: [4000]}
arms:
  dense: {}
"""
ASKED = """\
import sys
from urllib.request import Request, urlopen
token = open("/run/secrets/dashboard_token").read().strip()
asked = Request("http://127.0.0.1:8080" + sys.argv[1], headers={"Authorization": "Bearer " + token})
sys.stdout.buffer.write(urlopen(asked, timeout=240).read())
"""


def _engine() -> str:
    """Return why no container can be started here; empty if one can."""
    if shutil.which("docker") is None:
        return "no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            return "the Docker engine does not answer"
        if done.returncode:
            return "no Docker engine with Compose answers"
    return ""


class Project:
    """A copy of the checkout as a Compose project of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"sweeper-test-{secrets.token_hex(4)}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
        wanted = ("sweeper/", "db/", "pyproject.toml", "README.md", "LICENSE", "docker-compose.yml")
        for file in (file for file in files if file.startswith(wanted)):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        compose = folder / "docker-compose.yml"
        text = compose.read_text(encoding="utf-8")
        compose.write_text(text.replace("image: sweeper\n", f"image: {self.name}\n"), "utf-8")
        (folder / "studies").mkdir()
        (folder / "studies" / "tiny.yaml").write_text(STUDY, encoding="utf-8")
        (folder / ".secrets").mkdir(mode=0o700)
        for name in ("postgres_password", "dashboard_token"):
            (folder / ".secrets" / name).write_text(secrets.token_urlsafe(32))

    def compose(self, *words: str, timeout: float = 300, **variables: str) -> bytes:
        done = subprocess.run(
            ["docker", "compose", "-p", self.name, *words],
            cwd=self.folder,
            env={**os.environ, "PORT": str(self.port), **variables},
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, said[-4000:]
        return done.stdout

    def worker(self, *command: str) -> str:
        """Run a command in a worker's container; return what it prints."""
        words = ("run", "--rm", "-T", "worker", *command)
        return self.compose(*words, timeout=600).decode(errors="replace")

    def asked(self, path: str) -> bytes:
        return self.compose("exec", "-T", "dashboard", "python", "-c", ASKED, path)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    if reason := _engine():
        pytest.skip(reason)
    project = Project(tmp_path)
    try:
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "30", "--rmi", "local")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_sweep_runs_in_containers_and_its_networks_are_seen(project: Project) -> None:
    project.compose("build", timeout=3000)
    said = project.worker("sweeper", "run", "/studies/tiny.yaml", "--no-report")
    assert "tiny: " in said
    assert f"dashboard: http://127.0.0.1:{project.port}/" in said
    project.worker("sweeper", "confirm", "tiny", "--seeds", "1")
    project.compose("up", "-d", "--wait", "dashboard")
    index = json.loads(project.asked("/sweeps/index.json"))
    assert "tiny" in json.dumps(index)
    archive = project.asked("/sweeps/tiny/networks.zip")
    assert archive.startswith(b"PK")
    assert b".safetensors" in archive

    # A worker of a sweep that nobody registered gives up.
    project.compose("up", "-d", "worker", SWEEP="nobody")
    container = project.compose("ps", "--all", "--quiet", "worker").decode().split()[0]
    over = time.monotonic() + 300
    while time.monotonic() < over:
        state = json.loads(subprocess.check_output(["docker", "inspect", container], text=True))[0]
        if state["State"]["Status"] == "exited" and state["RestartCount"] >= 5:
            break
        time.sleep(2)
    assert (state["State"]["Status"], state["RestartCount"]) == ("exited", 5)
    logs = project.compose("logs", "--no-color", "worker").decode(errors="replace")
    assert "no such sweep: got 'nobody'" in logs
