"""docker-compose.yml: its schema, its hardening, and its very commands, run as plain processes.

No container is started here.
"""

import importlib.resources
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support.http_client import ask
from support.paths import ROOT
from support.postgres import Postgres
from sweeper.config import Sweep
from sweeper.lifecycle import register
from sweeper.redact import holds_password
from sweeper.store import Store

FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
OURS = ("migrate", "dashboard", "worker", "worker-gpu")
STORAGE = "postgresql://sweeper@postgres/sweeper"


def resolved(value: Any, variables: Mapping[str, str] = {}) -> Any:
    """Return a value with its ${NAME:-default} filled in and $$ undone, as Compose does."""
    if isinstance(value, dict):
        return {key: resolved(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def filled(found: "re.Match[str]") -> str:
        if found[0] == "$$":
            return "$"
        assert found["name"], f"Compose would read {value[found.start() :][:20]!r} as a variable"
        return variables.get(found["name"]) or found["default"]

    return re.sub(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^${}]*)\}|\$", filled, value)


COMPOSE: dict[str, Any] = resolved(yaml.safe_load(TEXT))
SERVICES: dict[str, Any] = COMPOSE["services"]


def problems(compose: Any) -> list[str]:
    package = importlib.resources.files("check_jsonschema")
    schema = json.loads((package / "builtin_schemas/vendor/compose-spec.json").read_text("utf-8"))
    checker = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(compose)]


def test_the_file_follows_the_compose_specification() -> None:
    assert problems(yaml.safe_load(TEXT)) == []
    assert problems(COMPOSE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "readonly: true"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("condition: service_healthy", "condition: healthy"),
    ],
)
def test_the_schema_finds_a_broken_key(right: str, wrong: str) -> None:
    assert right in TEXT
    assert problems(yaml.safe_load(TEXT.replace(right, wrong)))


def test_these_are_all_services() -> None:
    assert set(SERVICES) == {"postgres", *OURS}


@pytest.mark.parametrize("name", OURS)
def test_whoever_breaks_into_a_container_of_ours_can_change_nothing(name: str) -> None:
    service = SERVICES[name]
    user, group = map(int, service["user"].split(":"))
    assert user >= 1000
    assert group >= 1000
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)
    places = [mount.split(":")[1:] for mount in service.get("volumes", ())]
    assert all(rest[-1] == "ro" or rest == ["/data"] for rest in places)
    assert (["/data"] in places) == name.startswith("worker")  # it alone writes there
    # What is written elsewhere goes to memory.
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    environment = service["environment"]
    written = ("HOME", "NUMBA_CACHE_DIR")
    assert all(Path(environment[key]).is_relative_to("/tmp") for key in written)


def test_workers_keep_networks_where_the_dashboard_reads_them() -> None:
    for name in ("worker", "worker-gpu", "dashboard"):
        place = Path(SERVICES[name]["environment"]["SWEEPER_ARTIFACTS"])
        assert place.parent == Path("/data")
    assert "data:/data:ro" in SERVICES["dashboard"]["volumes"]
    assert "data:/data" in SERVICES["worker"]["volumes"]


def test_the_port_and_the_address_that_is_told_go_together() -> None:
    for given, port in (({}, "8080"), ({"PORT": "9090"}, "9090")):
        services = resolved(yaml.safe_load(TEXT), given)["services"]
        assert services["dashboard"]["ports"] == [f"127.0.0.1:{port}:8080"]
        url = services["worker"]["environment"]["SWEEPER_DASHBOARD_URL"]
        assert url == services["dashboard"]["environment"]["SWEEPER_DASHBOARD_URL"]
        assert url == f"http://127.0.0.1:{port}/"


def test_the_header_names_the_least_compose() -> None:
    header = TEXT.partition("name: sweeper")[0]
    assert "Docker Compose 2.17 or newer" in header  # the first that reads `dockerfile_inline`
    assert "dockerfile_inline" in TEXT


def test_nothing_can_be_reached_from_other_machines() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert published.pop("dashboard") == ["127.0.0.1:8080:8080"]
    assert not any(published.values())


def test_passwords_and_tokens_are_in_files_alone() -> None:
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            assert not holds_password(str(value)), key
            if re.search("password|token|secret", key, re.IGNORECASE):
                assert key.endswith("_FILE")
                assert Path(value).parent == Path("/run/secrets")
                assert Path(value).name in service["secrets"]
        assert not holds_password(" ".join(map(str, service.get("command", ()))))
    assert COMPOSE["secrets"] == {
        name: {"file": f".secrets/{name}"} for name in ("postgres_password", "dashboard_token")
    }
    postgres = SERVICES["postgres"]["environment"]
    assert all(SERVICES[name]["environment"]["SWEEPER_STORAGE"] == STORAGE for name in OURS)
    assert postgres["POSTGRES_USER"] == postgres["POSTGRES_DB"] == "sweeper"


def test_what_serves_is_kept_up_and_what_ends_well_stays_ended() -> None:
    assert {name: service["restart"] for name, service in SERVICES.items()} == {
        "postgres": "unless-stopped",
        "migrate": "no",
        "dashboard": "unless-stopped",
        "worker": "on-failure:5",
        "worker-gpu": "on-failure:5",
    }
    checked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert checked == {"postgres", "dashboard"}
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"]
    after = {name: service.get("depends_on") for name, service in SERVICES.items()}
    ready = {"migrate": {"condition": "service_completed_successfully"}}
    assert after.pop("postgres") is None
    assert after.pop("migrate") == {"postgres": {"condition": "service_healthy"}}
    assert all(conditions == ready for conditions in after.values())


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_there_can_be_many_workers(name: str) -> None:
    service = SERVICES[name]
    assert not {"container_name", "hostname", "ports"} & set(service)
    assert service["stop_grace_period"] == "30s"
    given = resolved(yaml.safe_load(TEXT), {"SWEEP": "mine", "WORKERS": "8"})["services"][name]
    assert given["command"][:3] == ["sweeper", "worker", "mine"]
    if name == "worker":
        assert given["environment"]["SWEEPER_SHARED_BY"] == "8"
    else:
        assert service["profiles"] == ["gpu"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}


def test_the_image_holds_what_is_named_and_no_index_is() -> None:
    built = [name for name, service in SERVICES.items() if "build" in service]
    assert built == ["migrate"]
    assert len({SERVICES[name]["image"] for name in OURS}) == 1
    build = SERVICES["migrate"]["build"]
    assert build["args"] == {"TORCH": "cuda", "TORCH_INDEX": ""}
    lines = build["dockerfile_inline"].splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    assert copied == [["pyproject.toml"], ["README.md", "LICENSE"], ["sweeper"], ["db"]]
    # What the code needs is a layer before the code, which changes more often.
    order = [lines.index(line) for line in lines if line.startswith("COPY") or "needs.txt" in line]
    assert order == sorted(order)
    assert "needs.txt" in lines[order[1]]
    assert "pip install --no-deps ." in build["dockerfile_inline"]
    assert all((ROOT / each).exists() for names in copied for each in names)
    assert f"USER {SERVICES['migrate']['user']}" in lines
    assert {*re.findall(r"\w+://([^/:\s]+)", TEXT)} == {"127.0.0.1", "sweeper@postgres"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [each for each in project["dependencies"] if each.startswith("torch")]
    assert re.findall(r"'(torch.*?)'", build["dockerfile_inline"]) == wanted


class Host:
    """This machine in place of a container: hosts, ports and paths are replaced, nothing else."""

    def __init__(self, folder: Path, storage: str) -> None:
        self.folder = folder
        # The header says how the secrets are made: by these very commands.
        lines = [line.removeprefix("#").strip() for line in TEXT.splitlines()]
        made = lines[lines.index("mkdir -m 700 .secrets") : lines.index("docker compose build")]
        subprocess.run(["sh", "-euc", "\n".join(made)], cwd=folder, check=True)
        self.secrets = {file.name: file for file in (folder / ".secrets").iterdir()}
        assert {oct(file.stat().st_mode & 0o777) for file in self.secrets.values()} == {"0o644"}
        for place in ("data", "tmp", "current"):
            (folder / place).mkdir()
        self._replaced = {
            STORAGE: storage,
            **{f"/run/secrets/{name}": str(file) for name, file in self.secrets.items()},
            "/data": str(folder / "data"),
            "/data/networks": str(folder / "data" / "networks"),
            "/studies": str(ROOT / "studies"),
            "/tmp/numba": str(folder / "tmp" / "numba"),
            "/tmp": str(folder / "tmp"),
        }

    def secret(self, name: str) -> str:
        return self.secrets[name].read_text().strip()

    def environment(self, name: str) -> dict[str, str]:
        own = SERVICES[name]["environment"]
        usual = {k: v for k, v in os.environ.items() if not k.startswith(("SWEEPER_", "PG"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**usual, "PATH": path, **{k: self._replaced.get(v, v) for k, v in own.items()}}

    @contextmanager
    def started(self, name: str, command: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
        with subprocess.Popen(
            command,
            cwd=self.folder / "current",
            env=self.environment(name),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                shown = Path(f"/proc/{process.pid}/environ").read_text(errors="replace")
                assert not any(self.secret(each) in shown for each in self.secrets)
                yield process
            finally:
                process.kill()

    def ran(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        with self.started(name, command) as process:
            out, _ = process.communicate(timeout=240)
            return process.returncode, out


@contextmanager
def nobody_sees(*texts: str) -> Iterator[None]:
    """Look through the arguments of all processes of this machine, again and again."""
    seen: list[str] = []
    over = threading.Event()
    looks = 0

    def look() -> None:
        nonlocal looks
        while not over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = file.read_text(errors="replace")
                except OSError:  # it has ended
                    continue
                seen.extend(line for text in texts if text in line)
            looks += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert looks > 0
    assert seen == []


@pytest.fixture
def host(postgres: Postgres, postgres_url: str, tmp_path: Path) -> Host:
    """A machine whose PostgreSQL asks for the password of the file, which was made as told."""
    found = re.fullmatch(r"postgresql://postgres@/(\w+)(\?.*)", postgres_url)
    assert found
    host = Host(tmp_path, f"postgresql://locked@/{found[1]}{found[2]}")
    postgres.execute("DROP ROLE IF EXISTS locked")
    postgres.execute(f"CREATE ROLE locked LOGIN PASSWORD '{host.secret('postgres_password')}'")
    postgres.execute("GRANT ALL ON SCHEMA public TO locked", database=found[1])
    return host


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux's /proc")
def test_the_commands_of_the_file_do_what_they_are_there_for(
    host: Host, postgres_url: str, sweep: Sweep
) -> None:
    password, token = host.secret("postgres_password"), host.secret("dashboard_token")
    said: list[str] = []
    with nobody_sees(password, token):
        host.secrets["postgres_password"].write_text("not-the-password\n")
        code, out = host.ran("migrate", SERVICES["migrate"]["command"])
        assert code != 0
        assert "password authentication failed" in out
        assert "not-the-password" not in out
        host.secrets["postgres_password"].write_text(f"{password}\n")
        code, out = host.ran("migrate", SERVICES["migrate"]["command"])
        assert code == 0, out
        said.append(out)

        said.append(dashboard_runs(host, token))

        worker = resolved(yaml.safe_load(TEXT), {"SWEEP": "tiny"})["services"]["worker"]
        code, out = host.ran("worker", worker["command"])
        assert code != 0, "a sweep that is not registered yet is waited for by restarts"
        said.append(out)
        search = sweep.search.model_copy(update={"trials": 2, "in_flight": 2})
        store = Store(postgres_url)
        register(store, sweep.model_copy(update={"search": search}))
        code, out = host.ran("worker", worker["command"])
        assert code == 0, out
        said.append(out)
        status = store.status("tiny")
        assert (status.finished, status.done, status.budget) == (True, 4, 4)
        store.close()
        code, out = host.ran("worker", worker["command"])
        assert code == 0, "a finished sweep ends a worker that was started again"
        said.append(out)
    assert all(text not in out for text in (password, token) for out in said)
    # A container's file system is read-only but for /tmp and /data.
    assert list((host.folder / "current").iterdir()) == []


def dashboard_runs(host: Host, token: str) -> str:
    """Start the dashboard on a free port, ask it and end it; returns what it wrote."""
    service = SERVICES["dashboard"]
    command = ["0" if word == "8080" else word for word in service["command"]]
    with host.started("dashboard", command) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        # The address is the one outside; where it listens is said beside.
        found = re.match(
            r"dashboard: http://127\.0\.0\.1:8080/ \(listens on 0\.0\.0\.0:(\d+); Ctrl-C", first
        )
        assert found, first
        url = f"http://127.0.0.1:{found[1]}"
        assert ask(url, "GET", "/healthz").status == 200
        assert ask(url, "GET", "/api/studies").status == 401
        wrong = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        assert ask(url, "GET", "/api/studies", wrong).status == 401
        right = {"Authorization": f"Bearer {token}"}
        assert ask(url, "GET", "/api/studies", right).status == 200
        assert ask(url, "GET", "/").status == 401
        assert ask(url, "GET", "/", right).status in {200, 302}  # to the list of sweeps
        assert ask(url, "GET", "/dashboard", right).status == 200
        assert ask(url, "DELETE", "/api/studies/1", right).status == 403

        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        assert sum("127.0.0.1:8080/" in word for word in check) == 1
        check = [word.replace("127.0.0.1:8080", f"127.0.0.1:{found[1]}") for word in check]
        assert host.ran("dashboard", check) == (0, "")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 0, out
    code, _ = host.ran("dashboard", check)
    assert code != 0, "nobody serves there any more"
    return first + out
