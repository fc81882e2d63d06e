"""Reads a demo's JSON summary and fails unless it really worked."""

import json
import sys


def main() -> int:
    """Say in one line what the demo did; the exit status tells whether that was enough."""
    summary = json.load(sys.stdin)
    ledger = summary["ledger"]["binance"]
    good = summary["ticks"] > 500 and ledger["balanced"] and ledger["pending"] == 0 and summary["simulated"]
    sys.stdout.write(f"demo: {summary['ticks']} ticks, lag {summary['lag_ms']}, ledger {ledger}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
