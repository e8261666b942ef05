#!/usr/bin/env python3
"""No architecture's name (the folder names of plugins/) in core/, plugin-sdk/ or tools/.

Spellings that a file format brings along live in *.def tables; model makers and peer scripts in tools/ are Python.
A name with a number behind it is another word: rope scaling of the kind "llama3" occurs in many architectures."""
import re
import sys

from common import ROOT, report, tracked

names = sorted({p.parts[1] for p in tracked("plugins") if len(p.parts) > 2})
if not names:
    sys.exit("names: no folder in plugins/")
word = re.compile(r"(?<![a-z])(" + "|".join(map(re.escape, names)) + r")(?![a-z0-9])", re.I)

found = []
for file in tracked("core", "plugin-sdk", "tools"):
    if file.suffix in (".def", ".py"):
        continue
    if word.search(str(file)):
        found.append(f"{file}: an architecture's name in the path")
    for number, line in enumerate((ROOT / file).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = word.search(line)
        if match:
            found.append(f"{file}:{number}: {match.group(0)}")
sys.exit(report(f"names ({', '.join(names)})", found))
