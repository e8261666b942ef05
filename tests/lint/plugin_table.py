#!/usr/bin/env python3
"""plugins/README.md holds the table of what the built plugins say about themselves.

  plugin_table.py TENON PLUGIN_DIR [--write]     --write renews the table"""
import subprocess
import sys

from common import ROOT, report, tracked

page = ROOT / "plugins" / "README.md"
table = subprocess.run([sys.argv[1], "plugin", "list", "--markdown", "--plugin-dir", sys.argv[2]], check=True,
                       capture_output=True, text=True).stdout.splitlines()
lines = page.read_text().splitlines()
rows = [i for i, line in enumerate(lines) if line.startswith("|")]
if "--write" in sys.argv:
    lines[rows[0]:rows[-1] + 1] = table
    page.write_text("\n".join(lines) + "\n")
    sys.exit(0)
written = [lines[i] for i in rows]
problems = [f"plugins/README.md lacks: {row}" for row in table if row not in written]
problems += [f"plugins/README.md has, and no plugin says: {row}" for row in written if row not in table]
served = {row.split("`")[1] for row in table[2:]}
problems += [f"plugins/{name} has no row" for name in sorted({p.parts[1] for p in tracked("plugins") if p.name == "CMakeLists.txt"})
             if name not in served]
sys.exit(report("table of plugins (cmake --build build --target plugin_table renews it)", problems))
