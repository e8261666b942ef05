#!/usr/bin/env python3
"""Writes core/tensor/iq_tables.def, the grids of the IQ1 to IQ3 formats, from the gguf package (0.19.0, MIT).

usage: make_iq_tables.py [OUT]
A grid's row is one code of two bits per value (eight values) or four bits per value (four values), lowest first."""
import sys
from pathlib import Path

import gguf.quants as q

HEAD = """\
// The grids of the IQ1 to IQ3 block formats: levels, and per row a code with the index of each value's level.
// Data of the formats, written by tools/make_iq_tables.py from the gguf package of llama.cpp (MIT).
// IQ_LEVELS(name, levels...) and IQ_GRID(name, levels, rows, values per row, codes...).
// clang-format off
"""
PER_LINE = 14


def macro(name, *fields):
    return f"{name}({', '.join(map(str, fields))}"


def grid(name, levels, cls):
    rows, values = cls.grid_shape
    raw = bytes.fromhex(cls.grid_hex.decode())
    assert len(raw) == 2 * rows
    codes = [f"0x{raw[i] | raw[i + 1] << 8:04x}" for i in range(0, len(raw), 2)]
    lines = [", ".join(codes[i : i + PER_LINE]) for i in range(0, rows, PER_LINE)]
    return macro("IQ_GRID", name, levels, rows, values) + ",\n  " + ",\n  ".join(lines) + ")\n"


def levels(name, cls):
    return macro("IQ_LEVELS", name, *cls.grid_map) + ")\n"


def main():
    assert q.IQ2_XXS.grid_map == q.IQ2_XS.grid_map == q.IQ2_S.grid_map
    text = HEAD + levels("kIq1Levels", q.IQ1_S) + levels("kIq2Levels", q.IQ2_XXS)
    text += levels("kIq3XxsLevels", q.IQ3_XXS) + levels("kIq3SLevels", q.IQ3_S)
    text += grid("kIq1Grid", "kIq1Levels", q.IQ1_S) + grid("kIq2XxsGrid", "kIq2Levels", q.IQ2_XXS)
    text += grid("kIq2XsGrid", "kIq2Levels", q.IQ2_XS) + grid("kIq2SGrid", "kIq2Levels", q.IQ2_S)
    text += grid("kIq3XxsGrid", "kIq3XxsLevels", q.IQ3_XXS) + grid("kIq3SGrid", "kIq3SLevels", q.IQ3_S)
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "core/tensor/iq_tables.def")
    out.write_text(text + "// clang-format on\n", encoding="utf-8")


if __name__ == "__main__":
    main()
