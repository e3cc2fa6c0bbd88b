"""Artifacts: files beside trials in a folder or an object store, shown by the dashboard."""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from optuna.artifacts import (
    ArtifactMeta,
    Backoff,
    Boto3ArtifactStore,
    GCSArtifactStore,
    download_artifact,
    get_all_artifact_meta,
)
from optuna.artifacts._upload import ARTIFACTS_ATTR_PREFIX
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from sweeper.errors import InputError, StorageError, SweeperError, first_line, typed_line
from sweeper.search.artifact_folder import ArtifactFolder
from sweeper.search.optuna_retry import is_of_the_database

NETWORK = ".safetensors"
"""Ending of the names of saved networks."""
NETWORK_TYPE = "application/octet-stream"
"""Media type of saved networks."""
KINDS = "a folder, s3://BUCKET or gs://BUCKET"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file beside a trial."""

    artifact: str
    """Its id in the artifact store, a UUID."""
    name: str
    mimetype: str
    content: bytes | None
    """None if the store has none under that id."""


def artifact_store(place: str, *, writes: bool = False, may_come: bool = False) -> Any:
    """Return Optuna's artifact store at a place. Raises InputError.

    A folder is made if there is none. `writes`: it must be writable. `may_come`: one that cannot
    be made may come later, as on a dashboard's read-only mount before the first network is kept.
    What an object store needs to let anybody in comes from its own environment variables.
    """
    scheme, separator, bucket = place.partition("://")
    if not separator:
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if not may_come or Path(place).exists():  # as something that is no folder
                text = f"artifacts: {place}: cannot be written: {error.strerror}"
                raise InputError(text) from error
        if writes and not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"artifacts: {place}: cannot be written by this account")
        return ArtifactFolder(Path(place))
    kinds: dict[str, tuple[Callable[[str], Any], str]] = {
        "s3": (Boto3ArtifactStore, "boto3"),
        "gs": (GCSArtifactStore, "google-cloud-storage"),
    }
    if scheme not in kinds or not bucket.strip("/") or "/" in bucket.strip("/"):
        raise InputError(f"artifacts: must be {KINDS}, got {place!r}")
    make, package = kinds[scheme]
    try:
        return Backoff(make(bucket.strip("/")))
    except ImportError:
        raise InputError(f"artifacts: {scheme}:// needs {package}: pip install it") from None
    except Exception as error:  # its library has many ways to say that it lacks a region or a key
        raise InputError(f"artifacts: {place}: {first_line(error)}") from error


def upload(store: Any, storage: BaseStorage, trial: FrozenTrial, path: str, content: bytes) -> None:
    """Attach a file to a running trial. Raises StorageError where it cannot be written.

    A folder keeps it at `path`, whose last part is the name of the file; a bucket under an id.
    """
    artifact = Artifact(str(uuid4()), path.rpartition("/")[2], NETWORK_TYPE, content)
    storage.set_trial_system_attr(trial._trial_id, *_attribute(artifact))
    _write(store, artifact, path)


def find(store: Any, storage: BaseStorage, trial: FrozenTrial, ending: str) -> Artifact | None:
    """Return the file of a trial whose name has that ending; None if none was ever named.

    A worker that died between naming it and writing it has left a name without a file.
    """
    artifact: Artifact | None = None
    for meta in get_all_artifact_meta(trial, storage=storage):
        if not meta.filename.endswith(ending):
            continue
        content = _content(store, meta.artifact_id)
        if artifact is None or content is not None:
            artifact = Artifact(meta.artifact_id, meta.filename, meta.mimetype, content)
        if content is not None:
            break
    return artifact


def put(store: Any, artifact: Artifact, path: str) -> tuple[str, str]:
    """Write a file under the id that it has; return its attribute of a trial, key and value.

    A folder keeps it at `path`. Raises InputError where another file has that id: ids are in every
    export, and anybody can put them into one of theirs. The beginning of this one was left by a
    crash.
    """
    present = _content(store, artifact.artifact)
    if present is not None and not (artifact.content or b"").startswith(present):
        raise InputError(
            f"artifacts: {artifact.artifact}: another file has this name there already"
        )
    if present != artifact.content:
        _write(store, artifact, path)
    return _attribute(artifact)


def write_file(store: Any, id_: str, file: BinaryIO) -> None:
    """Write a file that belongs to no trial of Optuna's, in place of what has that id.

    Raises StorageError.
    """
    with _writing():
        if isinstance(store, ArtifactFolder):
            store.replace(id_, file)
        else:
            store.write(id_, file)


def read_file(store: Any, id_: str, target: BinaryIO) -> bool:
    """Copy the file of an id into another; False if there is none. Raises StorageError."""
    with _writing():
        try:
            reader = store.open_reader(id_)
        except ArtifactNotFound:
            return False
        with closing(reader):
            shutil.copyfileobj(reader, target)
    return True


def remove_file(store: Any, id_: str) -> None:
    """Remove the file of an id, if there is one. Raises StorageError."""
    with _writing(), suppress(ArtifactNotFound):
        store.remove(id_)


def _attribute(artifact: Artifact) -> tuple[str, str]:
    """Return the attribute by which Optuna knows a file of a trial, key and value."""
    meta = ArtifactMeta(artifact.artifact, artifact.name, artifact.mimetype, None)
    return f"{ARTIFACTS_ATTR_PREFIX}{artifact.artifact}", json.dumps(asdict(meta))


def _write(store: Any, artifact: Artifact, path: str) -> None:
    content = artifact.content or b""
    with _writing():
        if isinstance(store, ArtifactFolder):
            store.write_at(artifact.artifact, path, content)
        else:
            store.write(artifact.artifact, io.BytesIO(content))


@contextmanager
def _writing() -> Iterator[None]:
    """Turn what goes wrong in a `with` block into StorageError.

    Buckets' libraries have errors of their own. Those of Optuna and of its database pass: some may
    be tried again.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"artifacts: {error.strerror or error}") from error
    except SweeperError as error:
        raise StorageError(f"artifacts: {error}") from error
    except Exception as error:
        if isinstance(error, OptunaError | KeyError) or is_of_the_database(error):
            raise
        raise StorageError(f"artifacts: {typed_line(error)}") from error


def _content(store: Any, artifact: str) -> bytes | None:
    with tempfile.TemporaryDirectory(prefix="sweeper-") as folder:
        path = Path(folder, "artifact")
        try:
            download_artifact(artifact_store=store, file_path=str(path), artifact_id=artifact)
        except ArtifactNotFound:
            return None
        return path.read_bytes()
