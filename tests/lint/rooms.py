#!/usr/bin/env python3
"""The rooms' include rule: arrows run downwards only, plugins see the SDK and nothing else."""
import re
import sys

from common import ROOT, is_cpp, report, tracked

# room -> the rooms it may include beside itself. An include that is not rooted at a room is an outside header.
BELOW = {
    "base": [],
    "tensor": ["base"],
    "checkpoint": ["base", "tensor"],
    "graph": ["base", "tensor"],
    "plugin": ["base", "tensor", "checkpoint", "graph"],
    "backend": ["base", "tensor", "graph"],
    "text": ["base", "tensor", "checkpoint"],
    "config": ["base"],
    "engine": ["base", "tensor", "checkpoint", "graph", "plugin", "backend", "text"],
}
BELOW["api"] = [*BELOW["engine"], "engine", "config"]
BELOW["server"] = [*BELOW["engine"], "engine", "config"]
TOOLS = ["api", "base"]  # base: the types that the api's own signatures are made of

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def core_problem(path, quote, target):
    room, first = path.parts[1], target.split("/")[0]
    if first == "tenon":
        return None if room == "plugin" and target == "tenon/abi.h" else "only core/plugin sees the SDK, and only tenon/abi.h"
    if first in BELOW:
        if quote == "<":
            return "headers of core are included with quotes, rooted at core/"
        return None if first == room or first in BELOW[room] else f"core/{room} may not include core/{first}"
    return "quotes are for headers of core, rooted at core/" if quote == '"' else None


def sdk_problem(path, quote, target):
    if target.startswith("tenon/"):
        return None
    if quote == '"':
        own = (ROOT / path).parent / target
        return None if path.parts[0] == "plugins" and own.exists() and ".." not in target else "only the SDK may be included"
    standard = re.fullmatch(r"[a-z_0-9]+", target) or target in ("stdint.h", "stddef.h")
    return None if standard else "only the SDK and the standard library may be included"


def tools_problem(path, quote, target):
    first = target.split("/")[0]
    if first in BELOW and first not in TOOLS:
        return "tools may include core/api (and core/base) only"
    return "tools do not include the SDK" if first == "tenon" and quote == "<" else None


def problem(path, quote, target):
    if path.parts[0] == "core":
        return core_problem(path, quote, target) if path.parts[1] in BELOW else f"core/{path.parts[1]} is no known room"
    if path.parts[0] == "tools":
        return tools_problem(path, quote, target)
    if path.parts[:2] in (("plugin-sdk", "include"), ("plugin-sdk", "template")) or path.parts[0] == "plugins":
        return sdk_problem(path, quote, target)
    return None


found = []
for file in tracked("core", "plugins", "plugin-sdk", "tools"):
    if is_cpp(file):
        text = (ROOT / file).read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            why = problem(file, *match.groups())
            if why:
                found.append(f"{file}:{text.count(chr(10), 0, match.start(2)) + 1}: {match.group(2)}: {why}")
sys.exit(report("rooms", found))
