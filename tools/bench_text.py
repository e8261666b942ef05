#!/usr/bin/env python3
"""Times loading a tokenizer.json and encoding a text, with Hugging Face tokenizers on the same files beside it, one
thread each. tenon is timed as a process: encoding is what a long text takes more than a short one. Not part of the
tests: it installs packages into the cache at the first call.

  tools/bench_text.py TEXT_FILE TOKENIZER_JSON ... [--tenon build/bin/tenon] [--rounds 5]"""
import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from pip_env import rerun_with

ROOT = pathlib.Path(__file__).resolve().parent.parent


def seconds(command, rounds):
    """Medians of the wall clock and of the processor time that a command takes."""
    wall, used = [], []
    for _ in range(rounds):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            sys.exit(f"bench_text.py: error: {done.stderr.strip()}")
    return statistics.median(wall), statistics.median(used)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("text")
    p.add_argument("tokenizers", nargs="+")
    p.add_argument("--tenon", default=str(ROOT / "build" / "bin" / "tenon"))
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer
    text = pathlib.Path(args.text).read_text()
    size = len(text.encode()) / 1e6
    print(f"{size:.1f} MB of text\n| tokenizer | engine | load s | encode MB/s | ids |\n|---|---|---|---|---|")
    for path in args.tokenizers:
        name = pathlib.Path(path).name
        load, used = seconds([args.tenon, "tokenize", path, "x"], args.rounds)
        _, all_used = seconds([args.tenon, "tokenize", path, "--no-special", "--file", args.text], args.rounds)
        print(f"| {name} | tenon | {load:.3f} | {size / (all_used - used):.1f} | |")
        start = time.perf_counter()
        peer = Tokenizer.from_file(path)
        load = time.perf_counter() - start
        start = time.perf_counter()
        ids = peer.encode(text, add_special_tokens=False).ids
        print(f"| {name} | tokenizers | {load:.3f} | {size / (time.perf_counter() - start):.1f} | {len(ids)} |")


if __name__ == "__main__":
    rerun_with("bench-text", "tokenizers==0.23.3")
    main()
