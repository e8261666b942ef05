#!/usr/bin/env python3
"""Sizes of C++ files and functions against the house's habits (aim / look again / fail unless listed with a reason).

  size_report.py              fails on what is above the limits; the list of exceptions is size_exceptions.txt
  size_report.py --base REV   also prints the change in lines per folder since REV"""
import argparse
import collections
import re
import statistics
import subprocess
import sys

from common import ROOT, is_cpp, report, tracked

FILE_LIMITS = {".cpp": (150, 400, 800), ".c": (150, 400, 800), ".hpp": (60, 150, 400), ".h": (60, 150, 400)}
FUNCTION_LIMITS = (10, 40, 100)
KERNELS = ("core/backend/cpu/kernels/",)  # unrolled by hand: exempt from the function limit
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
NOT_A_FUNCTION = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b[^()]*$|=\s*$|\breturn\b[^()]*$")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def functions(text):
    """(name, first line, lines) of each outermost function body."""
    text = re.sub(r"(?m)^\s*#(?:[^\n]*\\\n)*[^\n]*", blank, NOISE.sub(blank, text))
    depth, head_start, outer, result = 0, 0, None, []
    for i, c in enumerate(text):
        if c == "{":
            head = text[head_start:i].strip()
            if outer is None and ")" in head and not NOT_A_FUNCTION.search(head):
                name = re.search(r"([~\w:]+|operator\S+)\s*\(", head)
                outer = (depth, name.group(1) if name else "?", text.count("\n", 0, i) + 1)
            depth += 1
            head_start = i + 1
        elif c == "}":
            depth -= 1
            if outer and outer[0] == depth:
                result.append((outer[1], outer[2], text.count("\n", 0, i) + 2 - outer[2]))
                outer = None
            head_start = i + 1
        elif c == ";":
            head_start = i + 1
    return result


def exceptions():
    listed = {}
    for line in (ROOT / "tests/lint/size_exceptions.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            what, _, why = line.partition("  ")
            if not why.strip():
                sys.exit(f"size_exceptions.txt: {what} has no reason")
            listed[what.strip()] = why.strip()
    return listed


def print_delta(base):
    out = subprocess.run(["git", "-C", str(ROOT), "diff", "--numstat", base, "--"], capture_output=True, text=True, check=True)
    delta = collections.Counter()
    for line in out.stdout.splitlines():
        added, removed, path = line.split("\t")
        if added != "-":
            delta["/".join(path.split("/")[:2])] += int(added) - int(removed)
    for folder, lines in sorted(delta.items()):
        print(f"{lines:+6d}  {folder}")
    print(f"{sum(delta.values()):+6d}  in all since {base}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base")
    args = parser.parse_args()
    listed, problems, look, lengths = exceptions(), [], [], []
    totals = collections.Counter()
    for path in tracked("core", "plugins", "plugin-sdk", "tools", "tests"):
        if not is_cpp(path):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        n = text.count("\n")
        totals["/".join(path.parts[:2])] += n
        _, again, limit = FILE_LIMITS[path.suffix]
        if n > limit and str(path) not in listed:
            problems.append(f"{path}: {n} lines, limit {limit}")
        elif n > again:
            look.append(f"{path}: {n} lines")
        if str(path).startswith(KERNELS):
            continue
        for name, line, length in functions(text):
            lengths.append(length)
            if path.parts[0] == "tests":
                continue
            if length > FUNCTION_LIMITS[2] and f"{path}:{name}" not in listed:
                problems.append(f"{path}:{line}: {name} has {length} lines, limit {FUNCTION_LIMITS[2]}")
            elif length > FUNCTION_LIMITS[1]:
                look.append(f"{path}:{line}: {name} has {length} lines")
    for folder, n in sorted(totals.items()):
        print(f"{n:6d}  {folder}")
    if lengths:
        lengths.sort()
        print(f"functions: {len(lengths)}, median {statistics.median(lengths):g} lines, p90 {lengths[len(lengths) * 9 // 10]}")
    print(f"look again at {len(look)}:", *look, sep="\n  ")
    if args.base:
        print_delta(args.base)
    return report("size", problems)


sys.exit(main())
