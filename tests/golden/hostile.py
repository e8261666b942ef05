#!/usr/bin/env python3
"""What is wrong with a file is named: each tensor left out, each given another shape, tensors and config keys that nobody
reads. Every case starts from a row's own files and must end in exit status 1 and one line that names the culprit.

  hostile.py TENON DIR [--list]     DIR/hf and DIR/model.gguf; --list prints outcomes instead of judging them

Two kinds of exceptions stand in DIR/hostile.txt, one a line: GLOB, tensors without which the model is another, whole one
and must load (biases that a GGUF may lack); GLOB -> TEXT, tensors whose absence or shape shows in another place, so that
the error may hold TEXT instead (the first of two spellings, the other of a pair)."""
import argparse
import concurrent.futures
import copy
import fnmatch
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import checkpoints
from checkpoints import F32

REAL, INT = 6, 4
WOBBLE = "attention_wobble"
PATIENCE = 120  # seconds; the machine may be busy
TIED_IN_GGUF = "output.weight"  # without it the embedding is the head, as the format has it


class Case:
    """One broken copy: what was done, the names of which the error must hold one (none: it must load), how to do it."""

    def __init__(self, what, names, edit):
        self.what, self.names, self.edit = what, names, edit


class Exceptions:
    def __init__(self, path):
        lines = path.read_text().splitlines() if path.exists() else []
        pairs = [line.partition(" -> ") for line in lines if line.strip() and not line.startswith("#")]
        self.optional = [glob.strip() for glob, arrow, _ in pairs if not arrow]
        self.elsewhere = [(glob.strip(), text.strip()) for glob, arrow, text in pairs if arrow]

    def may_lack(self, name):
        return any(fnmatch.fnmatchcase(name, glob) for glob in self.optional)

    def names(self, name):
        return [name, *(text for glob, text in self.elsewhere if fnmatch.fnmatchcase(name, glob))]


def missing(name):
    return lambda model: model.tensors.pop(name)


def narrower(name):
    """One step less along the last axis (of a tensor that has one step only: one more); of blocks along the first."""
    def edit(model):
        kind, shape, data = model.tensors[name]
        width, rest = divmod(len(data), math.prod(shape))
        last, row = shape[-1], shape[-1] * width
        if rest:
            model.tensors[name] = [kind, [shape[0] - 1, *shape[1:]], data[:len(data) // shape[0] * (shape[0] - 1)]]
        elif last == 1:
            model.tensors[name] = [kind, [*shape[:-1], 2], data + data]
        else:
            rows = [data[i:i + row - width] for i in range(0, len(data), row)]
            model.tensors[name] = [kind, [*shape[:-1], last - 1], b"".join(rows)]
    return edit


def surplus(model, name):
    kind = F32 if isinstance(model, checkpoints.Table) else "F32"
    model.tensors[name] = [kind, [32], bytes(128)]


def inside(config, path):
    for key in path:
        config = config[key]
    return config


def objects(config, path=()):
    """The paths of all objects of a config.json, its root included."""
    yield path
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from objects(value, (*path, key))


def layer_prefixes(model):
    """What the tensors of a layer begin with, for every layer: "model.layers.0"."""
    found = {}
    for name in model.tensors:
        words = name.split(".")
        at = next((i for i, w in enumerate(words) if w.isdigit()), None)
        if at is not None:
            found[".".join(words[:at + 1])] = True
    return list(found)


def key_cases(model):
    if isinstance(model, checkpoints.Table):
        for key, kind, value in (("attention.wobble", REAL, 2.5), ("wobble_count", INT, 3)):
            name = f"{model.architecture()}.{key}"
            yield Case(f"unread {name}", [name], lambda m, n=name, k=kind, v=value: m.set(n, k, v))
        return
    for path in objects(model.config):
        name = ".".join((*path, WOBBLE))
        yield Case(f"unread {name}", [name], lambda m, p=path: inside(m.config, p).__setitem__(WOBBLE, 2.5))


def layer_cases(model):
    """More layers than anyone has: refused before a loop over them."""
    if isinstance(model, checkpoints.Table):
        name = f"{model.architecture()}.block_count"
        yield Case(f"2^31 - 1 in {name}", [name, "layers"], lambda m: m.set(name, INT, 2**31 - 1))
        return
    text = model.config.get("text_config", model.config)
    for key in {"num_hidden_layers", "n_layer"} & set(text):
        edit = lambda m, k=key: m.config.get("text_config", m.config).__setitem__(k, 2**31 - 1)  # noqa: E731
        yield Case(f"2^31 - 1 in {key}", [key, "layers"], edit)


def tensor_cases(model, exceptions):
    for name in model.tensors:
        tied = name == TIED_IN_GGUF and isinstance(model, checkpoints.Table)
        free = tied or exceptions.may_lack(name)
        yield Case(f"missing {name}", [] if free else exceptions.names(name), missing(name))
        yield Case(f"wrong shape of {name}", exceptions.names(name), narrower(name))
    for prefix in ["", *(p + "." for p in layer_prefixes(model))]:
        name = prefix + "mystery.weight"
        yield Case(f"surplus {name}", [name], lambda m, n=name: surplus(m, n))


def outcome(model, fmt, case):
    """(exit status, error text) of a run on the broken copy."""
    broken = copy.deepcopy(model)
    case.edit(broken)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / ("hf" if fmt == "hf" else "model.gguf")
        broken.write(path)
        command = [ARGS.tenon, ARGS.command, path, "--tokens", "1", "-o", os.devnull, *ARGS.flags, "-t", "1"]
        try:
            done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None, f"nothing within {PATIENCE} s"
    return done.returncode, done.stderr.decode(errors="replace").strip()


def judge(case, status, text):
    """Why the outcome is wrong, or ''."""
    if not case.names:
        return "" if status == 0 else f"may be absent, but: {text}"
    if status != 1:
        return f"exit status {status}, expected 1: {text or 'nothing on stderr'}"
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].startswith("tenon: error: "):
        return f"no single error line: {text}"
    return "" if any(name in lines[0] for name in case.names) else f"does not name {' or '.join(case.names)}: {text}"


def run_format(row, fmt):
    model, failures = checkpoints.open_row(row, fmt), []
    cases = [Case("untouched", [], lambda m: None), *tensor_cases(model, Exceptions(row / "hostile.txt")), *key_cases(model),
             *layer_cases(model)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for case, (status, text) in zip(cases, pool.map(lambda c: outcome(model, fmt, c), cases)):
            why = judge(case, status, text)
            if ARGS.list:
                print(f"{fmt} {case.what}: status {status} {text}")
            elif why:
                failures.append(f"{fmt} {case.what}: {why}")
    print(f"{fmt}: {len(cases)} cases, {len(failures)} failures", flush=True)
    return failures


parser = argparse.ArgumentParser()
parser.add_argument("tenon")
parser.add_argument("row", type=pathlib.Path)
parser.add_argument("--list", action="store_true")
ARGS = parser.parse_args()
encoder = (ARGS.row / "hidden.npy").exists()
ARGS.command, ARGS.flags = ("embed", ["--hidden"]) if encoder else ("logits", [])
found = [f for fmt in checkpoints.formats(ARGS.row) for f in run_format(ARGS.row, fmt)]
for line in found:
    print("FAIL", line)
sys.exit(1 if found else 0)
