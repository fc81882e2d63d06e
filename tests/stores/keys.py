"""Keys of one's own on a Redis that others use, too."""

import uuid


def named(url, **options):
    """The URL with a prefix that nobody else has."""
    given = {"prefix": f"test-{uuid.uuid4().hex[:12]}", "ttl": "10m"} | options
    return f"{url}?{'&'.join(f'{name}={value}' for name, value in given.items())}"


def forget(*stores):
    """Close the stores and remove their keys."""
    for store in stores:
        store.close()
    client = stores[0].address.connect()
    keys = list(client.scan_iter(f"{stores[0].address.prefix}:*"))
    if keys:
        client.delete(*keys)
    client.close()
