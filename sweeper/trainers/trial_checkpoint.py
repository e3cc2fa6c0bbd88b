"""Trial checkpoints: folders of trials in the artifact store, for attempts on other machines.

Each attempt has a file of its own there, so that one which was given up while it uploaded cannot
overwrite what a later one has kept. A later attempt removes those before it.
"""

import hashlib
import shutil
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeper.errors import SweeperError, first_line, typed_line
from sweeper.trainers.trial_folder import LOG, TrialFolder


class TrialCheckpoints:
    """Checkpoints of one trial, for one of its attempts. None are kept without a place."""

    def __init__(self, place: str | None, folder: TrialFolder) -> None:
        self._place, self._folder = place, folder
        self._store: Any = None
        self.are_kept = False
        """Whether there are any: of this attempt, or of the one that it went on with."""
        self._cleared = False

    def save(self) -> str:
        """Upload the folder as it is; return what went wrong, for a training need not end of it."""
        if not self._place or self._folder.is_superseded:
            return ""
        from sweeper.search.artifacts import write_file

        path, attempt = self._folder.path, self._folder.mark.attempt
        try:
            with tempfile.TemporaryFile(dir=path.parent) as file:
                with tarfile.open(fileobj=file, mode="w") as archive:
                    archive.add(path, arcname=".", filter=self._without_ours)
                file.seek(0)
                write_file(self._opened(), self._id(attempt), file)
        except (OSError, SweeperError) as error:
            return f"nothing was kept: {typed_line(error)}"
        self.are_kept = True
        if not self._cleared:
            self._cleared = True
            self._remove(attempt - 1)
        return ""

    def restore(self) -> Path | None:
        """Return a folder with the last checkpoint of earlier attempts, beside that of the trial.

        None if the trial's own folder is as new, or there is none. Raises SweeperError.
        """
        if not self._place:
            return None
        from sweeper.search.artifacts import read_file

        present = self._folder.latest_attempt()
        for attempt in range(self._folder.mark.attempt - 1, present, -1):
            with tempfile.TemporaryFile() as file:
                if not read_file(self._opened(), self._id(attempt), file):
                    continue
                self.are_kept = True
                file.seek(0)
                return self._unpacked(file)
        return None

    def remove_all(self) -> None:
        """Remove the checkpoints of this attempt and of those before it."""
        if self.are_kept:
            self._remove(self._folder.mark.attempt)

    def _remove(self, last: int) -> None:
        from sweeper.search.artifacts import remove_file

        with suppress(SweeperError):
            for attempt in range(last, 0, -1):
                remove_file(self._opened(), self._id(attempt))

    def _unpacked(self, file: Any) -> Path:
        place = self._folder.path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
            try:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    archive.extractall(beside, filter=_harmless)  # noqa: S202  # it is filtered
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
        except (OSError, tarfile.TarError) as error:
            text = f"{place}: a checkpoint cannot be read: {first_line(error)}"
            raise SweeperError(text) from error
        return beside

    def _without_ours(self, entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path = Path(entry.name)
        is_log = len(path.parts) == 1 and path.match(f"{Path(LOG).stem}*{Path(LOG).suffix}")
        is_mark = path == self._folder.mark_file.relative_to(self._folder.path)
        return None if is_log or is_mark else entry

    def _opened(self) -> Any:
        if self._store is None:
            from sweeper.search.artifacts import artifact_store

            self._store = artifact_store(self._place or "", writes=True)
        return self._store

    def _id(self, attempt: int) -> str:
        trial = hashlib.sha256(self._folder.mark.trial.encode()).hexdigest()[:32]
        return f"checkpoint-{trial}-{attempt}"


def _harmless(entry: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    """Return an entry as it may be unpacked; None for a link out of the folder, a device, a pipe.

    A link to the data is nothing that a checkpoint could bring to another machine.
    """
    try:
        return tarfile.data_filter(entry, place)
    except tarfile.FilterError:
        return None
