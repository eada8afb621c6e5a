"""Run every recipe of a ladder for a few steps at its real size, one after the other, and restore with what comes out.

    keepface data prepare FACES DATA/train --size 256 --split train        (and val; a part of the photos will do)
    python scripts/prove_recipes.py recipes/compact-256 --data DATA --out runs/proof --steps 2 --batch 2

Each recipe starts from the family that the one before it in the ladder made. A loan of a GPU should not end with an
error that a CPU would have shown. What comes out has learned nothing. Prints a Markdown table.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from keepface.data.prepare import Pack
from keepface.diffusion.family import Family
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import KeepfaceError
from keepface.image.files import from_uint8
from keepface.methods import METHODS
from keepface.train.run import train_recipe

LADDER = {  # each recipe, and whose family it starts from
    "autoencoder": None,
    "faceme-base": "autoencoder",
    "faceme-stage1": "faceme-base",
    "faceme-stage2": "faceme-stage1",
    "autoencoder-decoder": "faceme-stage2",
    "cleaner": "autoencoder-decoder",
    "faceme-joint": "cleaner",
    "ridfr-content": "faceme-joint",
    "ridfr-identity": "ridfr-content",
    "ridfr-naive": "ridfr-identity",
    "ridfr-alignment": "ridfr-identity",
    "pfstorer-base": "ridfr-alignment",
}


def prove(recipe: Path, given: argparse.Namespace) -> str:
    """Run one recipe and return its line of the table."""
    out, begins = given.out / recipe.stem, LADDER[recipe.stem]
    wanted = [f"optim.steps={given.steps}", f"optim.batch={given.batch}", f"run.save_every={given.steps}"]
    wanted += [f"run.validate_every={given.steps}", "run.validate_items=2"]
    wanted += [f"init_from={(given.out / begins / 'family').as_posix()}"] if begins else []
    started = time.perf_counter()
    train_recipe(recipe, given.data, out, wanted)
    seconds = time.perf_counter() - started
    rows = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    losses = [f"{row['total']:.3f}" for row in rows if "total" in row]
    size = sum(path.stat().st_size for path in (out / "family").rglob("*.safetensors")) / 1e6
    return f"| `{recipe.stem}` | {len(losses)} | {' '.join(losses)} | {seconds:.0f} | {size:.0f} |"


@torch.no_grad()
def restored(family: Path, method: str, pack: Pack) -> str:
    """Restore one photo of a pack, led by another, and say what came out."""
    restorer = Restorer.from_pretrained(family, method, "cpu")
    low, other = (from_uint8(pack.square(index)) for index in (0, 1))
    led_by = [] if method == "pfstorer" else [restorer.embedder.embed_square(other)]
    made = restorer.restore_squares(low[None], [led_by], RestoreSettings(steps=2), [0])
    if made.shape != low[None].shape or not bool(made.isfinite().all()):
        raise SystemExit(f"{method}: {tuple(made.shape)} came out, with values that are no numbers perhaps")
    return f"{method} restores {tuple(made.shape)}"


def main() -> None:
    """Run the ladder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path, help="folder of a ladder's recipes")
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs train/ and val/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    given = parser.parse_args()
    ladder = [given.recipes / f"{name}.toml" for name in LADDER]
    left_out = sorted({path.stem for path in given.recipes.glob("*.toml")} - set(LADDER))
    if left_out:
        parser.error(f"not in the ladder of this script: {', '.join(left_out)}")
    print(
        "| recipe | steps | losses | seconds, validation and saving included | family, MB |\n|---|---:|---|---:|---:|"
    )
    try:
        for recipe in ladder:
            print(prove(recipe, given), flush=True)
        last = given.out / ladder[-1].stem / "family"
        print(f"\n{Family.from_pretrained(last).size} px: ", end="")
        print(*(restored(last, method, Pack(given.data / "val")) for method in METHODS), sep="; ")
    except KeepfaceError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
