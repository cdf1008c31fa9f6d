"""Health check for images that have no curl: `check_http.py URL` succeeds if the URL answers with 2xx in 3 s."""

from __future__ import annotations

import sys
from urllib.error import URLError
from urllib.request import urlopen


def main(url: str) -> int:
    """Asks once.

    Returns:
        0 = it answers, 1 = it does not, or with an error; the reason is on stderr, where `docker inspect` shows it.
    """
    try:
        with urlopen(url, timeout=3):
            return 0
    except (URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
