#!/usr/bin/env python3
"""Tenon beside llama.cpp on one file: `tenon bench` and the peer take turns, several rounds, on the same threads.

  tools/compare.py MODEL.gguf                  the peer is xllamacpp from PyPI, in a Python environment of its own
  tools/compare.py MODEL.gguf --peer DIR       the peer is DIR/llama-bench, a native build
Prints a table on stderr and JSON on stdout. xllamacpp measures with its own timings inside one process and carries AVX2
code only; where the processor has AVX-512, a native build is the fairer peer."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

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


def tenon(args):
    found = json.loads(run_json([args.tenon, "bench", args.model, "-p", args.n_prompt, "-n", args.n_gen, "-t", args.threads, "-r",
                                 args.repeats, "--json"]))
    speeds = {"prompt": [], "decode": [], "bandwidth_gbs": [found["bandwidth_gbs"]], "bytes_per_token": found["bytes_per_token"]}
    for test in found["tests"]:
        speeds["decode" if test["n_gen"] else "prompt"] += test["samples"]
    return speeds


def native_peer(args):
    rows = json.loads(run_json([pathlib.Path(args.peer) / "llama-bench", "-m", args.model, "-p", args.n_prompt, "-n", args.n_gen,
                                "-t", args.threads, "-r", args.repeats, "-ngl", 0, "-o", "json"]))
    speeds = {"prompt": [], "decode": []}
    for row in rows:
        speeds["decode" if row["n_gen"] else "prompt"] += row["samples_ts"]
    return speeds


def pip_peer_python():
    """The Python of an environment that holds the package, made at the first call."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "tenon" / "peers" / PACKAGE
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"compare: installing {PACKAGE} into {folder}", file=sys.stderr)
        run_json([sys.executable, "-m", "venv", "--clear", folder])
        run_json([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE])
        (folder / "complete").touch()
    return python


def pip_peer(args, python):
    out = run_json([python, "-c", IN_PROCESS, args.model, args.threads, args.n_prompt, args.n_gen, args.repeats])
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return json.loads(lines[-1][7:]) if lines else sys.exit("compare: error: the peer printed no result")


def summary(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "samples": samples}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--peer", help="folder with llama-bench")
    parser.add_argument("--tenon", type=pathlib.Path, default=ROOT / "build" / "bin" / "tenon")
    parser.add_argument("-p", dest="n_prompt", type=int, default=512)
    parser.add_argument("-n", dest="n_gen", type=int, default=128)
    parser.add_argument("-t", dest="threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-r", dest="repeats", type=int, default=3, help="repeats in each round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not args.model.is_file():
        sys.exit(f"compare: error: no file {args.model}")
    python = None if args.peer else pip_peer_python()
    speeds = {"tenon": [], "peer": []}
    for number in range(args.rounds):
        print(f"compare: round {number + 1} of {args.rounds}", file=sys.stderr)
        speeds["tenon"].append(tenon(args))
        speeds["peer"].append(native_peer(args) if args.peer else pip_peer(args, python))

    result = {"model": str(args.model), "peer": args.peer or PACKAGE, "threads": args.threads, "n_prompt": args.n_prompt,
              "n_gen": args.n_gen, "bandwidth_gbs": max(b for r in speeds["tenon"] for b in r["bandwidth_gbs"])}
    print(f"{'':8} {'tenon':>10} {'peer':>10} {'ratio':>7}   tokens per second, median of {args.rounds} x {args.repeats}",
          file=sys.stderr)
    for test in ("prompt", "decode"):
        ours, theirs = ([s for r in speeds[who] for s in r[test]] for who in ("tenon", "peer"))
        if not ours or not theirs:
            continue
        ours, theirs = summary(ours), summary(theirs)
        ratio = ours["median"] / theirs["median"]
        result[test] = {"tenon": ours, "peer": theirs, "ratio": ratio}
        print(f"{test:8} {ours['median']:10.2f} {theirs['median']:10.2f} {ratio:7.2f}", file=sys.stderr)
    if "decode" in result:
        read = speeds["tenon"][0]["bytes_per_token"] * result["decode"]["tenon"]["median"] / 1e9
        result["decode_bandwidth_share"] = read / result["bandwidth_gbs"]
        print(f"decode reads {read:.1f} of {result['bandwidth_gbs']:.1f} GB/s", file=sys.stderr)
    print(json.dumps(result))


main()
