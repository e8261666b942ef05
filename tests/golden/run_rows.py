#!/usr/bin/env python3
"""Golden rows against a built tenon: what the reference says, and what must hold without any reference.

  run_rows.py TENON row DIR (hf|gguf) [--backend B] [--brief]   logits, greedy ids; unless --brief chunks, decode, batch
                                      [--differs]               the format cannot hold the row's numbers: it has to run
  run_rows.py TENON same DIR                                    safetensors = GGUF
  run_rows.py TENON quant DIR TYPE                              DIR/quant/TYPE.gguf: exact and fast path
  run_rows.py TENON real GOLDEN.json MODEL                      a trained model: top logits, greedy ids, both paths

A row holds hf/, model.gguf, tokens.json, logits.npy and greedy.json (an encoder's hidden.npy, and logits.npy where it has
a head for masked words), made from the reference implementation that its SOURCE.md names, never by Tenon. Exit status 0 holds, 1 does not, 77 skipped (with the reason)."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: this Python has no numpy (tools/setup puts one into deps/)")
    sys.exit(77)

EXACT, INVARIANT, FAST_L2 = 2e-4, 1e-4, 3.5e-2
REAL_FAST, REAL_MARGIN = 6e-2, 0.6

failures = []


def check(what, value, limit):
    """Prints the figure and notes a failure; NaN fails."""
    holds = value <= limit
    print(f"{'ok  ' if holds else 'FAIL'} {what}: {value:.2e} (limit {limit:.0e})", flush=True)
    if not holds:
        failures.append(what)


def check_equal(what, got, want):
    holds = got == want
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {got[:8]}..., expected {want[:8]}..."), flush=True)
    if not holds:
        failures.append(what)


def tenon(*args):
    done = subprocess.run([ARGS.tenon, *map(str, args)], capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        print(done.stderr.decode(errors="replace"))
        sys.exit(f"FAIL tenon {' '.join(map(str, args))[:200]}: exit status {done.returncode}")
    return done.stdout


def join(ids):
    return ",".join(map(str, ids))


def logits(model, tokens, *flags):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.npy"
        tenon("logits", model, "--tokens", join(tokens), "-o", out, *flags)
        return np.load(out)


def states(model, tokens, *flags):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "hidden.npy"
        tenon("embed", model, "--tokens", join(tokens), "--hidden", "-o", out, *flags)
        return np.load(out)


def greedy(model, prompt, n, *flags):
    return json.loads(tenon("run", model, "--tokens", join(prompt), "-n", n, "--temp", 0, "--ids", "--ignore-eos", *flags))


def rel_max(x, ref):
    """max |x - ref| / max |ref|, infinite where shapes differ or a number is not finite."""
    if x.shape != ref.shape or not np.isfinite(x).all():
        return float("inf")
    return float(np.abs(x - ref).max() / np.abs(ref).max())


def rel_l2(x, ref):
    if x.shape != ref.shape or not np.isfinite(x).all():
        return float("inf")
    return float(np.linalg.norm(x - ref) / np.linalg.norm(ref))


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def model_of(row, fmt):
    return row / "hf" if fmt == "hf" else row / "model.gguf"


def run_encoder(row, model, tokens, flags):
    """All rows at once: no pieces, no continuation."""
    plain = states(model, tokens, *flags)
    check("hidden states against the reference", rel_max(plain, np.load(row / "hidden.npy")), EXACT)
    if not ARGS.brief:
        check("the fast path", rel_l2(states(model, tokens, *flags[1:]), plain), FAST_L2)
        vector = np.array(json.loads(tenon("embed", model, "--tokens", join(tokens), *flags)))
        check("the embedding's length", abs(float(np.linalg.norm(vector)) - 1), 1e-5)
    if not (row / "logits.npy").exists():
        return
    plain = logits(model, tokens, *flags)
    check("logits against the reference", rel_max(plain, np.load(row / "logits.npy")), EXACT)
    if not ARGS.brief:
        check("batch against the plain run", rel_max(logits(model, tokens, *flags, "--batch", 3), plain), INVARIANT)


def run_row():
    row = ARGS.dir
    model, tokens = model_of(row, ARGS.format), load(row / "tokens.json")["tokens"]
    flags = ["--exact"] + (["--backend", ARGS.backend] if ARGS.backend else [])
    if (row / "hidden.npy").exists():
        return run_encoder(row, model, tokens, flags)
    plain = logits(model, tokens, *flags)
    if ARGS.differs:
        check("finite logits", rel_max(plain, plain), EXACT)
        check("logits are as many", abs(plain.size - np.load(row / "logits.npy").size), 0)
    else:
        check("logits against the reference", rel_max(plain, np.load(row / "logits.npy")), EXACT)
    if not ARGS.brief:
        n = len(tokens)
        pieces = [n // 3, n // 2 - n // 3, n - n // 2]
        for name, extra in (("chunks", ["--chunks", join(pieces)]), ("decode", ["--decode-from", 5]), ("batch", ["--batch", 3])):
            check(f"{name} against the plain run", rel_max(logits(model, tokens, *flags, *extra), plain), INVARIANT)
        check("the fast path", rel_l2(logits(model, tokens, *flags[1:]), plain), FAST_L2)
    if ARGS.differs:
        return
    want = load(row / "greedy.json")
    check_equal("greedy ids", greedy(model, want["prompt"], len(want["tokens"]), *flags), want["tokens"])


def run_same():
    tokens = load(ARGS.dir / "tokens.json")["tokens"]
    numbers = states if (ARGS.dir / "hidden.npy").exists() else logits
    hf, gguf = (numbers(model_of(ARGS.dir, fmt), tokens, "--exact") for fmt in ("hf", "gguf"))
    check("GGUF against safetensors", rel_max(gguf, hf), INVARIANT)


def run_quant():
    model = ARGS.dir / "quant" / f"{ARGS.type}.gguf"
    reference, tokens = np.load(model.with_suffix(".logits.npy")), load(ARGS.dir / "tokens.json")["tokens"]
    exact = logits(model, tokens, "--exact")
    check(f"{ARGS.type} exact against the reference", rel_max(exact, reference), EXACT)
    check(f"{ARGS.type} fast, relative L2", rel_l2(logits(model, tokens), reference), FAST_L2)
    fast_decode = logits(model, tokens, "--decode-from", 3)
    check(f"{ARGS.type} fast token by token, relative L2", rel_l2(fast_decode, reference), FAST_L2)
    check(f"{ARGS.type} exact on the reference backend",
          rel_max(logits(model, tokens, "--exact", "--backend", "reference"), reference), EXACT)


def real_case(case, model, flags, limit):
    name = f"{case['label']} {'exact' if flags else 'fast'}"
    rows = logits(model, case["prompt_ids"], *flags)
    worst = max(abs(float(rows[r["row"], i]) - v) for r in case["rows"] for i, v in r["top"])
    check(f"{name}: top logits", worst / case["logits_max"], limit)
    low = [i for i, m in enumerate(case["margins"]) if m < REAL_MARGIN]
    n = low[0] if low else len(case["greedy"])
    if n:
        check_equal(f"{name}: {n} greedy ids", greedy(model, case["prompt_ids"], n, *flags), case["greedy"][:n])


def run_real():
    if not ARGS.model.exists():
        print(f"skipped: the default model is not here (tools/fetch_model brings it to {ARGS.model})")
        sys.exit(77)
    for case in load(ARGS.golden)["cases"]:
        real_case(case, ARGS.model, ["--exact"], EXACT)
        real_case(case, ARGS.model, [], REAL_FAST)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("tenon")
    kinds = parser.add_subparsers(required=True)
    for kind, run in (("row", run_row), ("same", run_same), ("quant", run_quant), ("real", run_real)):
        sub = kinds.add_parser(kind)
        sub.set_defaults(run=run)
        if kind == "real":
            sub.add_argument("golden", type=pathlib.Path)
            sub.add_argument("model", type=pathlib.Path)
            continue
        sub.add_argument("dir", type=pathlib.Path)
        if kind == "row":
            sub.add_argument("format", choices=("hf", "gguf"))
            sub.add_argument("--backend")
            sub.add_argument("--brief", action="store_true")
            sub.add_argument("--differs", action="store_true")
        if kind == "quant":
            sub.add_argument("type")
    return parser.parse_args()


if __name__ == "__main__":
    ARGS = arguments()
    ARGS.run()
    print("holds" if not failures else f"{len(failures)} check(s) do not hold: {'; '.join(failures)}")
    sys.exit(1 if failures else 0)
