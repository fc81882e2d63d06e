#!/usr/bin/env python3
"""Ends with status 0 when an address answers with 200: `healthy http://127.0.0.1:9100/health`. For Docker's health checks."""

import sys
import urllib.error
import urllib.request


def main(url: str) -> int:
    """The exit status; what is wrong goes to standard error, where `docker inspect` shows it."""
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        said = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else error
        sys.stderr.write(f"{url}: {said}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
