"""Artifact folders: paths that people can read, ids that Optuna asks for."""

import io
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.artifacts import FileSystemArtifactStore, download_artifact
from optuna.artifacts.exceptions import ArtifactNotFound

from sweeper.errors import StorageError
from sweeper.search.artifact_folder import ArtifactFolder
from sweeper.search.artifacts import Artifact, artifact_store, find, put, upload

PATH = "tiny/l1/confirmed/l1-0-trial-0012-1843-nonzero.safetensors"
PLAIN = "application/octet-stream"


def new_id() -> str:
    return str(uuid.uuid4())


def content(folder: ArtifactFolder, artifact_id: str) -> bytes:
    with folder.open_reader(artifact_id) as file:
        return file.read()


def files(folder: Path) -> set[str]:
    """Paths of the files that people see."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != ".ids"}


def test_a_file_lies_at_its_path_and_is_read_by_its_id(tmp_path: Path) -> None:
    folder, known = ArtifactFolder(tmp_path), new_id()
    folder.write_at(known, PATH, b"weights")
    assert files(tmp_path) == {PATH}
    assert (tmp_path / PATH).read_bytes() == content(folder, known) == b"weights"
    folder.write_at(known, PATH, b"weights")
    assert files(tmp_path) == {PATH}


def test_what_optuna_kept_by_its_id_is_read_as_ever(tmp_path: Path) -> None:
    plain, folder, known = FileSystemArtifactStore(tmp_path), ArtifactFolder(tmp_path), new_id()
    plain.write(known, io.BytesIO(b"by the dashboard"))
    assert content(folder, known) == b"by the dashboard"
    folder.remove(known)
    folder.write(known, io.BytesIO(b"again"))
    assert (tmp_path / known).read_bytes() == b"again"


def test_two_files_never_take_each_others_place(tmp_path: Path) -> None:
    """Two databases may have sweeps of one name, and file systems names without case."""
    folder, ids = ArtifactFolder(tmp_path), [f"3f2a9c1e{new_id()[8:]}" for _ in range(4)]
    for number, known in enumerate(ids):
        folder.write_at(known, PATH, b"%d" % number)
    assert [content(folder, known) for known in ids] == [b"0", b"1", b"2", b"3"]
    stem = PATH.removesuffix(".safetensors")
    ends = ["", "-3f2a9c1e", *(f"-{known}" for known in ids[2:])]
    assert files(tmp_path) == {f"{stem}{end}.safetensors" for end in ends}


def test_a_file_system_without_links_has_the_id_in_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    folder, known = ArtifactFolder(tmp_path), new_id()
    folder.write_at(known, PATH, b"weights")
    assert files(tmp_path) == {PATH.replace(".safe", f"-{known}.safe")}
    assert content(folder, known) == b"weights"


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_moment_leaves_no_half_file_and_the_same_again_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    """Every call that changes something durable, before and after it."""
    folder, known = ArtifactFolder(tmp_path), new_id()
    changes: dict[str, Callable[..., Any]]
    changes = {"fsync": os.fsync, "link": os.link, "replace": Path.replace}
    real = changes[call]

    def crash(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path if call == "replace" else os, call, crash)
        with pytest.raises(KeyboardInterrupt):
            folder.write_at(known, PATH, b"weights")
    for path in files(tmp_path):
        assert (tmp_path / path).read_bytes() == b"weights"
    try:
        assert content(folder, known) == b"weights"
    except ArtifactNotFound:
        assert not (call == "replace" and after)
    folder.write_at(known, PATH, b"weights")
    assert content(folder, known) == b"weights"
    assert files(tmp_path) == {PATH}


def test_a_removed_file_is_gone_and_its_id_with_it(tmp_path: Path) -> None:
    folder, known = ArtifactFolder(tmp_path), new_id()
    folder.write_at(known, PATH, b"weights")
    folder.remove(known)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    for use in (folder.open_reader, folder.remove):
        with pytest.raises(ArtifactNotFound):
            use(known)


def test_a_file_that_somebody_deleted_is_not_found(tmp_path: Path) -> None:
    folder, known = ArtifactFolder(tmp_path), new_id()
    folder.write_at(known, PATH, b"weights")
    (tmp_path / PATH).unlink()
    for use in (folder.open_reader, folder.remove):
        with pytest.raises(ArtifactNotFound):
            use(known)


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "a/../../secret", "", ".ids/x"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    place, known = tmp_path / "folder", new_id()
    folder = ArtifactFolder(place)
    with pytest.raises(ValueError, match="not a path of safe names"):
        folder.write_at(known, path, b"x")
    (place / ".ids").mkdir(parents=True)
    (place / ".ids" / known).write_text(path)
    with pytest.raises(ArtifactNotFound):
        folder.open_reader(known)


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,53}", fullmatch=True), min_size=2))
def test_any_names_of_sweeps_and_arms_make_a_path(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder, known = ArtifactFolder(tmp_path_factory.mktemp("any")), new_id()
    path = f"{names[0]}/confirmed/{names[1]}/0/{names[1]}-0-trial-0000.safetensors"
    folder.write_at(known, path, b"weights")
    assert content(folder, known) == b"weights"


def test_files_beside_trials_are_found_by_optuna_too(tmp_path: Path) -> None:
    study = optuna.create_study()
    trial = study.ask()
    store, storage = artifact_store(str(tmp_path)), study._storage
    frozen = storage.get_trial(trial._trial_id)
    upload(store, storage, frozen, PATH, b"weights")
    (meta,) = optuna.artifacts.get_all_artifact_meta(trial)
    assert (meta.filename, meta.mimetype) == (PATH.rpartition("/")[2], PLAIN)
    download_artifact(
        artifact_store=store, artifact_id=meta.artifact_id, file_path=str(tmp_path / "copy")
    )
    assert (tmp_path / "copy").read_bytes() == b"weights"
    known = find(store, storage, storage.get_trial(trial._trial_id), ".safetensors")
    assert known == Artifact(meta.artifact_id, meta.filename, PLAIN, b"weights")
    put(store, known, PATH)
    assert files(tmp_path) == {PATH, "copy"}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    store = artifact_store(str(tmp_path))
    (tmp_path / "tiny").write_bytes(b"no folder")
    with pytest.raises(StorageError, match=r"^artifacts: [^\n]+$"):
        put(store, Artifact(new_id(), "a", PLAIN, b"x"), PATH)
    (tmp_path / ".ids").write_bytes(b"no folder")
    with pytest.raises(StorageError, match=r"^artifacts: [^\n]*\.ids[^\n]+cannot be written"):
        put(store, Artifact(new_id(), "a", PLAIN, b"x"), "other/a")
