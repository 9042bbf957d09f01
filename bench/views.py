"""What watching costs: the rqt widget (`_views_rqt`) and the page (`_views_page`), one after the
other. Prints one JSON line and writes out/bench/views.json.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parent / "out/bench/views.json"
PARTS = ("_views_rqt.py", "_views_page.py")


def rows_of(part: str) -> list[dict[str, object]]:
    """Rows that a part prints as its last line."""
    command = [sys.executable, str(HERE / part)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])["rows"]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = [row for part in PARTS for row in rows_of(part)]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(json.dumps({"bench": "views", **{row["name"]: row["value"] for row in rows}}))


if __name__ == "__main__":
    main()
