"""A server's name that stops resolving, in a mount namespace of its own: see test_outages.

    unshare --mount python no_name.py FOLDER PORT URL

Says `waited` if a storage that was reached before is waited for, and a new one is not.
"""

import subprocess
import sys
from pathlib import Path

from sweeper.errors import StorageError
from sweeper.retry import RetryPolicy
from sweeper.store import Store


def main(folder: Path, url: str) -> None:
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost database-of-sweeper.test\n")
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    said: list[str] = []

    def waiting(line: str, seconds: float) -> None:
        said.append(line)
        if len(said) == 3:
            hosts.write_text("127.0.0.1 localhost database-of-sweeper.test\n")

    store = Store(url, patience=RetryPolicy(60.0, waiting))
    store.upgrade()
    store.close()
    hosts.write_text("127.0.0.1 localhost\n")
    try:
        Store(url.partition("?")[0], patience=RetryPolicy(60.0, waiting)).names()
    except StorageError as error:
        if said:
            sys.exit(f"a first contact was waited for: {said}")
        first = str(error)
    else:
        sys.exit("the name still resolves")
    store.names()
    print("waited" if len(said) == 3 and said[0] in first else f"{said}, {first}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
