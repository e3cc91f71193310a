#!/usr/bin/env python3
"""Prints a table of sales by region, from the CSV file beside this script or the one that is named."""

import csv
import sys
from collections import defaultdict
from pathlib import Path


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("sales.csv")
    units: defaultdict[str, int] = defaultdict(int)
    income: defaultdict[str, float] = defaultdict(float)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                units[row["region"]] += int(row["units"])
                income[row["region"]] += int(row["units"]) * float(row["price"])
    except (OSError, KeyError, ValueError) as error:
        print(f"report: {path}: {error!r}", file=sys.stderr)
        return 1
    print(f"{'region':<8}{'units':>8}{'income':>12}")
    for region in sorted(units):
        print(f"{region:<8}{units[region]:>8}{income[region]:>12.2f}")
    print(f"{'total':<8}{sum(units.values()):>8}{sum(income.values()):>12.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
