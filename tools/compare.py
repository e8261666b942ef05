#!/usr/bin/env python3
"""Tenon beside llama.cpp on the same files: `tenon bench` and the peer take turns, several rounds, on the same threads.

  tools/compare.py A.gguf B.gguf               the peer is xllamacpp from PyPI, in a Python environment of its own
  tools/compare.py A.gguf --peer DIR           the peer is DIR/llama-bench, a native build
  tools/compare.py A.gguf --peer DIR --batch 8   also decoding of 8 sequences at once (DIR/llama-batched-bench)
  tools/compare.py A.gguf --plot OUT.png       and a bar chart (needs matplotlib)
Prints a table on stderr and JSON on stdout. Every other round begins with the peer, so that a machine that slows down
or warms up favours nobody. xllamacpp measures with its own timings inside one process and carries AVX2
code only; where the processor has AVX-512, a native build is the fairer peer."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from pip_env import python_with

PACKAGE = "xllamacpp==2026.10.11549"
ROOT = pathlib.Path(__file__).resolve().parents[1]

# Runs in the peer's own Python: one process, one load, `repeats` prompts and answers; prints one JSON object.
IN_PROCESS = r"""
import json, sys
import xllamacpp as x
model, threads, n_prompt, n_gen, repeats = sys.argv[1], *map(int, sys.argv[2:])
p = x.CommonParams()
p.model.path = model
p.n_ctx = n_prompt + n_gen + 64
p.n_parallel = 1
p.warmup = True
p.cpuparams.n_threads = threads
p.cpuparams_batch.n_threads = threads
server = x.Server(p)
found = {"prompt": [], "decode": []}

def run(prompt, n):
    out = {}
    server.handle_completions({"prompt": prompt, "n_predict": n, "temperature": 0, "ignore_eos": True, "cache_prompt": False,
                               "stream": False}, lambda r: out.update(json.loads(r) if isinstance(r, (str, bytes)) else r))
    return out["timings"]

for i in range(repeats):
    ids = [(7 * k + 13 * i) % 1000 + 100 for k in range(n_prompt)]
    if n_prompt:
        t = run(ids, 1)
        found["prompt"].append(t["prompt_n"] * 1000 / t["prompt_ms"])
    if n_gen:
        t = run(ids[:1] or [100], n_gen)
        found["decode"].append(t["predicted_n"] * 1000 / t["predicted_ms"])
print("RESULT " + json.dumps(found), flush=True)
"""


def run_json(command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        sys.exit(f"compare: error: {command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


TESTS = ("prompt", "decode", "batch")


def tenon_bench(args, model, n_prompt, n_gen, batch):
    return json.loads(run_json([args.tenon, "bench", model, "-p", n_prompt, "-n", n_gen, "-t", args.threads, "-r", args.repeats,
                                "--batch", batch, "--json"]))


def tenon(args, model):
    found = tenon_bench(args, model, args.n_prompt, args.n_gen, 1)
    speeds = {"prompt": [], "decode": [], "batch": [], "bandwidth_gbs": found["bandwidth_gbs"],
              "bytes_per_token": found["bytes_per_token"]}
    for test in found["tests"]:
        speeds["decode" if test["n_gen"] else "prompt"] += test["samples"]
    if args.batch:
        speeds["batch"] = tenon_bench(args, model, 0, args.n_gen, args.batch)["tests"][0]["samples"]
    return speeds


def batched_peer(args, model):
    out = run_json([pathlib.Path(args.peer) / "llama-batched-bench", "-m", model, "-npp", 1, "-ntg", args.n_gen, "-npl", args.batch,
                    "-t", args.threads, "-c", args.batch * (args.n_gen + 64), "--output-format", "jsonl"])
    return [json.loads(line)["speed_tg"] for line in out.splitlines() if line.startswith("{")]


def native_peer(args, model):
    rows = json.loads(run_json([pathlib.Path(args.peer) / "llama-bench", "-m", model, "-p", args.n_prompt, "-n", args.n_gen,
                                "-t", args.threads, "-r", args.repeats, "-ngl", 0, "-o", "json"]))
    speeds = {"prompt": [], "decode": [], "batch": batched_peer(args, model) if args.batch else []}
    for row in rows:
        speeds["decode" if row["n_gen"] else "prompt"] += row["samples_ts"]
    return speeds


def pip_peer(args, model):
    python = python_with("xllamacpp", PACKAGE)
    out = run_json([python, "-c", IN_PROCESS, model, args.threads, args.n_prompt, args.n_gen, args.repeats])
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return {"batch": [], **json.loads(lines[-1][7:])} if lines else sys.exit("compare: error: the peer printed no result")


def measure(args):
    """{model: {"tenon": [round, ...], "peer": [round, ...]}}"""
    sides = [("tenon", tenon), ("peer", native_peer if args.peer else pip_peer)]
    speeds = {model: {"tenon": [], "peer": []} for model in args.models}
    for number in range(args.rounds):
        for model in args.models:
            print(f"compare: round {number + 1} of {args.rounds}: {model.name}", file=sys.stderr)
            for who, run in sides if number % 2 == 0 else sides[::-1]:
                speeds[model][who].append(run(args, model))
    return speeds


def summary(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "samples": samples}


def row_of(model, speeds):
    row = {"model": str(model), "bytes": model.stat().st_size}
    for test in TESTS:
        ours, theirs = ([s for r in speeds[who] for s in r[test]] for who in ("tenon", "peer"))
        if ours and theirs:
            ours, theirs = summary(ours), summary(theirs)
            row[test] = {"tenon": ours, "peer": theirs, "ratio": ours["median"] / theirs["median"]}
    row["bandwidth_gbs"] = max(r["bandwidth_gbs"] for r in speeds["tenon"])
    if "decode" in row:
        read = speeds["tenon"][0]["bytes_per_token"] * row["decode"]["tenon"]["median"] / 1e9
        row["decode_bandwidth_share"] = read / row["bandwidth_gbs"]
    return row


def print_table(rows, args):
    print(f"tokens per second, median of {args.rounds} x {args.repeats}, {args.threads} threads", file=sys.stderr)
    print(f"{'model':36} {'test':8} {'tenon':>10} {'peer':>10} {'ratio':>7}", file=sys.stderr)
    for row in rows:
        for test in TESTS:
            if test in row:
                t = row[test]
                print(f"{pathlib.Path(row['model']).name[:36]:36} {test:8} {t['tenon']['median']:10.2f} "
                      f"{t['peer']['median']:10.2f} {t['ratio']:7.2f}", file=sys.stderr)
        if "decode" in row:
            print(f"{'':36} decoding reads at {row['decode_bandwidth_share']:.0%} of {row['bandwidth_gbs']:.1f} GB/s",
                  file=sys.stderr)


def plot(rows, path):
    try:
        import matplotlib
    except ImportError:
        print("compare: no matplotlib, no plot", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    tests = [t for t in TESTS if any(t in r for r in rows)]
    figure, axes = pyplot.subplots(1, len(tests), figsize=(6 * len(tests), 1.5 + 0.6 * len(rows)), squeeze=False)
    for axis, test in zip(axes[0], tests):
        shown = [r for r in rows if test in r]
        for offset, who in ((-0.2, "tenon"), (0.2, "peer")):
            middle = [r[test][who]["median"] for r in shown]
            spread = [[m - r[test][who]["min"] for m, r in zip(middle, shown)], [r[test][who]["max"] - m for m, r in zip(middle, shown)]]
            axis.barh([i + offset for i in range(len(shown))], middle, 0.38, xerr=spread, label=who)
        axis.set_yticks(range(len(shown)), [pathlib.Path(r["model"]).stem for r in shown])
        axis.set_title(f"{test}, tokens per second")
        axis.invert_yaxis()
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, nargs="+", metavar="MODEL")
    parser.add_argument("--peer", help="folder with llama-bench")
    parser.add_argument("--tenon", type=pathlib.Path, default=ROOT / "build" / "bin" / "tenon")
    parser.add_argument("-p", dest="n_prompt", type=int, default=512)
    parser.add_argument("-n", dest="n_gen", type=int, default=128)
    parser.add_argument("-t", dest="threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-r", dest="repeats", type=int, default=3, help="repeats in each round")
    parser.add_argument("--batch", type=int, default=0, help="also decode as many sequences at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=pathlib.Path, help="a PNG file to write")
    args = parser.parse_args()
    if args.batch and not args.peer:
        sys.exit("compare: error: --batch needs --peer DIR")
    for model in args.models:
        if not model.is_file():
            sys.exit(f"compare: error: no file {model}")
    rows = [row_of(model, speeds) for model, speeds in measure(args).items()]
    print_table(rows, args)
    if args.plot:
        plot(rows, args.plot)
    print(json.dumps({"peer": args.peer or PACKAGE, "threads": args.threads, "n_prompt": args.n_prompt, "n_gen": args.n_gen,
                      "batch": args.batch, "rounds": args.rounds, "repeats": args.repeats, "models": rows}))


if __name__ == "__main__":
    main()
