#!/usr/bin/env python3
"""All golden rows as a Markdown table: row, format, largest relative error of the exact path, relative L2 of the fast path
from the exact one (of a quantised file from the reference), greedy ids.

  table.py TENON [--shared MODELS] [--arch NAME ...]     rows of tests/golden, and the shared ones that they name

Exit status 1 when a row does not hold. Of a GGUF that cannot hold the row's numbers (gguf_differs) only that it runs."""
import argparse
import pathlib
import sys

import numpy as np

import run_rows
from checkpoints import formats, own_rows
from run_rows import EXACT, FAST_L2, greedy, load, logits, model_of, rel_l2, rel_max, states


def rows_of(folder):
    """(row, tags): the architecture's own and those of its rows.txt that are here."""
    yield folder, []
    for line in (folder / "rows.txt").read_text().splitlines():
        row, *tags = line.split() if line.strip() and not line.startswith("#") else [""]
        if row and (ARGS.shared / row / "tokens.json").exists():
            yield ARGS.shared / row, tags


def greedy_word(row, model):
    if not (row / "greedy.json").exists():
        return "-"
    want = load(row / "greedy.json")
    same = greedy(model, want["prompt"], len(want["tokens"]), "--exact") == want["tokens"]
    return "equal" if same else "DIFFER"


def measure(row, fmt, differs):
    """(cells, whether the row holds)"""
    model, tokens = model_of(row, fmt), load(row / "tokens.json")["tokens"]
    encoder = (row / "hidden.npy").exists()
    read, file = (states, "hidden.npy") if encoder else (logits, "logits.npy")
    exact, reference = read(model, tokens, "--exact"), np.load(row / file)
    fast = rel_l2(read(model, tokens), exact)
    if differs:
        return ("runs", f"{fast:.1e}", "-"), bool(np.isfinite(exact).all())
    error, word = rel_max(exact, reference), greedy_word(row, model)
    return (f"{error:.1e}", f"{fast:.1e}", word), error <= EXACT and fast <= FAST_L2 and word != "DIFFER"


def measure_quant(row, kind):
    """As measure, of quant/KIND.gguf against the reference on its dequantised weights."""
    model, tokens = row / "quant" / f"{kind}.gguf", load(row / "tokens.json")["tokens"]
    reference = np.load(model.with_suffix(".logits.npy"))
    error, fast = rel_max(logits(model, tokens, "--exact"), reference), rel_l2(logits(model, tokens), reference)
    return (f"{error:.1e}", f"{fast:.1e}", "-"), error <= EXACT and fast <= FAST_L2


def cells_of(row, tags):
    """(format, what measures it) of everything that the row holds."""
    for fmt in formats(row):
        yield fmt, lambda fmt=fmt: measure(row, fmt, fmt == "gguf" and "gguf_differs" in tags)
    for file in sorted((row / "quant").glob("*.gguf")):
        yield file.stem, lambda kind=file.stem: measure_quant(row, kind)


def main():
    failed = 0
    print("| plugin | row | format | largest error | fast path | greedy |\n|---|---|---|---|---|---|")
    for folder in own_rows():
        if ARGS.arch and folder.name not in ARGS.arch:
            continue
        for row, tags in rows_of(folder):
            for fmt, take in cells_of(row, tags):
                try:
                    cells, holds = take()
                except SystemExit:
                    cells, holds = ("FAILS", "", ""), False
                failed += not holds
                name = "own" if row == folder else row.name
                print(f"| {folder.name} | {name} | {fmt} | {' | '.join(cells)} |{'' if holds else ' !'}", flush=True)
    return failed


parser = argparse.ArgumentParser()
parser.add_argument("tenon")
parser.add_argument("--shared", type=pathlib.Path, default=pathlib.Path("/nonexistent"))
parser.add_argument("--arch", nargs="*")
ARGS = run_rows.ARGS = parser.parse_args()
sys.exit(1 if main() else 0)
