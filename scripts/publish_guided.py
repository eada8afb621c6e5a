"""Put trained guided weights into the package and write their size and hash on the card.

python scripts/publish_guided.py RUN/family
"""

import re
import shutil
import sys
from pathlib import Path

from keepface.methods.guided.files import WEIGHTS, load_network
from keepface.weights.store import sha256

PACKAGE = Path(__file__).parent.parent / "src" / "keepface"


def main(folder: Path) -> None:
    """Check that the weights load, copy them, and fill in the card."""
    load_network(folder)
    target = PACKAGE / "methods" / "guided" / "weights" / WEIGHTS
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(folder / WEIGHTS, target)
    cards = PACKAGE / "weights" / "cards.toml"
    before, found, after = cards.read_text(encoding="utf-8").partition("[guided]\n")
    if not found:
        raise SystemExit(f"{cards}: has no [guided]")
    after = re.sub(r"^bytes = .*$", f"bytes = {target.stat().st_size}", after, count=1, flags=re.MULTILINE)
    after = re.sub(r"^sha256 = .*$", f'sha256 = "{sha256(target)}"', after, count=1, flags=re.MULTILINE)
    cards.write_text(before + found + after, encoding="utf-8")
    print(f"{target.name}: {target.stat().st_size:,} bytes, {sha256(target)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
