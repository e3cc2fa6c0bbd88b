"""Data path: where a file or folder lies that a study file names."""

from contextlib import suppress
from pathlib import Path

from sweeper.errors import DataError, InputError
from sweeper.settings import DATA_VARIABLE, data_folder, expand_home


def data_path(text: str, folder: str | Path | None, key: str) -> Path:
    """Return the path of a file or folder; `key` is that of the study file.

    An absolute one is taken as it is; another is looked for in the folder of datasets, then in the
    current one. Raises DataError with both places where it is in neither.
    """
    path = expand_home(text, key)
    if path.is_absolute():
        places = [path]
    else:
        places = [Path.cwd() / path]
        with suppress(InputError):  # an account without a home folder need not have one of datasets
            places.insert(0, data_folder(folder) / path)
    for place in places:
        try:
            if place.exists():
                return place
        except OSError as error:
            raise DataError(f"{key}: {place}: cannot be read: {error.strerror}") from error
    where = " nor ".join(str(place) for place in dict.fromkeys(places))
    if path.is_absolute():
        raise DataError(f"{key}: there is no {where}")
    advice = f"set {DATA_VARIABLE} or --data to the folder that has it"
    raise DataError(f"{key}: {text}: there is no {where}; {advice}")
