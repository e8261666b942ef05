#!/usr/bin/env python3
"""Rows rewritten into other forms that checkpoints have: each must give the logits that the row itself gives.

  rewrite.py TENON DIR [--shared MODELS]

Some forms hold for every row: shards with an index, 16-bit storage (against the same values in float32), several stop
ids, a tied head that is stored all the same, vocabulary rows beyond the tokens, both spellings of rope. Those of one
architecture stand in DIR/forms.json, a list of {form, format, row, steps}: `row` is a shared row (MODELS/row) or absent for
DIR itself, and a step is one of STEPS below with its arguments. In names {l} stands for a layer's number, {e} for an
expert's. Numbers are of the exact path; limit 0 means bit for bit."""
import argparse
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: this Python has no numpy (tools/setup puts one into deps/)")
    sys.exit(77)

import checkpoints
from checkpoints import BF16, F16, F32, Folder, Table

SAME, INVARIANT = 0.0, 1e-4
PADDING = 64


class Form:
    """`edit` makes the form; `base` makes what it is compared with, where that is not the row as it is."""

    def __init__(self, name, edit, limit=SAME, base=None, shards=1):
        self.name, self.edit, self.limit, self.base, self.shards = name, edit, limit, base, shards


# ---- arrays ---------------------------------------------------------------------------------------------------------

KINDS = {F32: np.float32, F16: np.float16, BF16: np.uint16, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def array(tensor):
    kind, shape, data = tensor
    return np.frombuffer(data, KINDS[kind]).reshape(shape)


def tensor(kind, values):
    return [kind, list(values.shape), np.ascontiguousarray(values).tobytes()]


def replace(model, name, values):
    model.tensors[name] = tensor(model.tensors[name][0], values)


def as_bf16(values):
    """Round to nearest even; the values are finite."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


# ---- forms of every row ---------------------------------------------------------------------------------------------

def matrices(model):
    """Tensors that converters store in 16 bits; norms and biases stay, in a GGUF."""
    kind = F32 if isinstance(model, Table) else "F32"
    return [n for n, t in model.tensors.items() if t[0] == kind and (kind == "F32" or len(t[1]) > 1)]


def store_bf16(model):
    for n in matrices(model):
        model.tensors[n] = tensor(BF16 if isinstance(model, Table) else "BF16", as_bf16(array(model.tensors[n])))


def round_bf16(model):
    for n in matrices(model):
        replace(model, n, from_bf16(as_bf16(array(model.tensors[n]))))


def store_f16(model):
    for n in matrices(model):
        model.tensors[n] = tensor(F16 if isinstance(model, Table) else "F16", array(model.tensors[n]).astype(np.float16))


def round_f16(model):
    for n in matrices(model):
        replace(model, n, array(model.tensors[n]).astype(np.float16).astype(np.float32))


def text(config):
    return config.get("text_config", config)


def vocabulary(model):
    """(rows, names of the tensors that have them), the embedding first."""
    names = [n for n in model.tensors if n.startswith(("token_embd.w", "output.w", "output.b"))]
    if isinstance(model, Folder):
        rows = text(model.config)["vocab_size"]
        names = [n for n, t in model.tensors.items() if t[1][0] == rows]
    names.sort(key=lambda n: "emb" not in n)
    return model.tensors[names[0]][1][0], names


def pad_vocabulary(model):
    rows, names = vocabulary(model)
    for n in names:
        old = array(model.tensors[n])
        replace(model, n, np.concatenate([old, np.zeros((PADDING, *old.shape[1:]), old.dtype)]))
    if isinstance(model, Folder):
        text(model.config)["vocab_size"] = rows + PADDING
    elif f"{model.architecture()}.vocab_size".encode() in model.kv:
        model.set(f"{model.architecture()}.vocab_size", 4, rows + PADDING)


def copy_head(model):
    name = "output.weight" if isinstance(model, Table) else "lm_head.weight"
    model.tensors[name] = model.tensors[vocabulary(model)[1][0]]


def is_tied(model):
    heads = len([n for n in vocabulary(model)[1] if len(model.tensors[n][1]) == 2])
    return heads == 1 and (isinstance(model, Table) or text(model.config).get("tie_word_embeddings", True))


def rope_as_scaling(config):
    """rope_parameters as rope_theta and rope_scaling, the kind under its first name `type`."""
    rope = dict(config.pop("rope_parameters"))
    kind = rope.pop("rope_type", "default")
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in rope:
            config[key] = rope.pop(key)
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}


def rope_as_parameters(config):
    scaling = dict(config.pop("rope_scaling", None) or {})
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    config["rope_parameters"] = {"rope_type": kind, "rope_theta": config.pop("rope_theta"), **scaling}
    if "partial_rotary_factor" in config:
        config["rope_parameters"]["partial_rotary_factor"] = config.pop("partial_rotary_factor")


def kind_as_type(config):
    scaling = config["rope_scaling"]
    kind = scaling.pop("rope_type", scaling.get("type"))
    config["rope_scaling"] = {**scaling, "type": kind}


def rope_forms(model):
    c = text(model.config)
    several = "rope_local_base_freq" in c or "local_rope_theta" in c or \
        any(isinstance(v, dict) for v in (c.get("rope_parameters") or {}).values())
    if several:  # a rope for each type of layer: each architecture has words of its own for that
        return
    if c.get("rope_parameters"):
        yield Form("rope_theta and rope_scaling", lambda m: rope_as_scaling(text(m.config)))
    if "rope_theta" in c and not c.get("rope_parameters"):
        yield Form("rope_parameters", lambda m: rope_as_parameters(text(m.config)))
    if c.get("rope_scaling"):
        yield Form("rope_scaling.type", lambda m: kind_as_type(text(m.config)))


def general_forms(model, has_head):
    yield Form("BF16", store_bf16, INVARIANT, round_bf16)
    yield Form("F16", store_f16, INVARIANT, round_f16)
    if has_head:
        yield Form("vocabulary rows beyond the tokens", pad_vocabulary, INVARIANT)
        if is_tied(model):
            yield Form("a tied head, stored", copy_head)
    if isinstance(model, Folder):
        yield Form("three files and an index", lambda m: None, shards=3)
        yield Form("several stop ids", lambda m: m.config.__setitem__("eos_token_id", [1, 2]))
        yield from rope_forms(model)


# ---- forms of one architecture: the steps of forms.json -------------------------------------------------------------

def pattern(template):
    parts = re.split(r"(\{[le]\})", template)
    return re.compile("".join(rf"(?P<{p[1]}>\d+)" if p in ("{l}", "{e}") else re.escape(p) for p in parts) + "$")


def matching(model, template):
    """(name, layer) of the tensors that fit."""
    found = [(n, pattern(template).match(n)) for n in list(model.tensors)]
    found = [(n, m.groupdict().get("l", "")) for n, m in found if m]
    if not found:
        sys.exit(f"FAIL forms.json: no tensor {template}")
    return found


def put(template, layer, expert=""):
    return template.replace("{l}", layer).replace("{e}", str(expert))


def rename(model, old, new):
    for name, layer in matching(model, old):
        model.tensors[put(new, layer)] = model.tensors.pop(name)


def unstack(model, old, new):
    for name, layer in matching(model, old):
        kind = model.tensors[name][0]
        for e, part in enumerate(array(model.tensors.pop(name))):
            model.tensors[put(new, layer, e)] = tensor(kind, part)


def stack(model, old, new):
    by_layer = {}
    for name, layer in matching(model, old):
        by_layer.setdefault(layer, []).append(name)
    for layer, names in by_layer.items():
        names.sort(key=lambda n: int(pattern(old).match(n)["e"]))
        kind = model.tensors[names[0]][0]
        model.tensors[put(new, layer)] = tensor(kind, np.stack([array(model.tensors.pop(n)) for n in names]))


def transpose(model, name, a, b):
    for n, _ in matching(model, name):
        replace(model, n, array(model.tensors[n]).swapaxes(a, b))


def reshape(model, name, shape):
    for n, _ in matching(model, name):
        replace(model, n, array(model.tensors[n]).reshape(shape))


def concat(model, names, into, axis=0):
    for first, layer in matching(model, names[0]):
        kind = model.tensors[first][0]
        parts = [array(model.tensors.pop(put(n, layer))) for n in names]
        model.tensors[put(into, layer)] = tensor(kind, np.concatenate(parts, axis))


def split(model, name, into, rows):
    for n, layer in matching(model, name):
        kind = model.tensors[n][0]
        for new, part in zip(into, np.split(array(model.tensors.pop(n)), np.cumsum(rows)[:-1]), strict=True):
            model.tensors[put(new, layer)] = tensor(kind, part)


def add(model, name, beside, n):
    """A tensor of n zeros in every layer that has `beside`."""
    for _, layer in matching(model, beside):
        model.tensors[put(name, layer)] = tensor(F32 if isinstance(model, Table) else "F32", np.zeros(n, np.float32))


def set_key(model, key, value):
    if isinstance(model, Folder):
        text(model.config)[key] = value
        return
    kind = {bool: 7, int: 4, float: 6, str: 8}[type(value)]
    model.set(key, kind, value.encode() if kind == 8 else value)


def remove_key(model, *keys):
    for key in keys:
        text(model.config).pop(key) if isinstance(model, Folder) else model.kv.pop(key.encode())


def rename_key(model, old, new):
    text(model.config)[new] = text(model.config).pop(old)


STEPS = {"rename": rename, "unstack": unstack, "stack": stack, "transpose": transpose, "reshape": reshape, "concat": concat,
         "split": split, "add": add, "set": set_key, "remove": remove_key, "rename_key": rename_key}


def take_steps(model, steps):
    for step, *args in steps:
        STEPS[step](model, *args)


# ---- running --------------------------------------------------------------------------------------------------------

def numbers(model, row, shards=1):
    """The exact logits of the row's tokens (of an encoder the hidden states), or the error's text."""
    tokens = ",".join(map(str, json.loads((row / "tokens.json").read_text())["tokens"]))
    encoder = (row / "hidden.npy").exists()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / ("hf" if isinstance(model, Folder) else "model.gguf")
        out = pathlib.Path(folder) / "out.npy"
        model.write(path, shards) if isinstance(model, Folder) else model.write(path)
        done = subprocess.run([ARGS.tenon, "embed" if encoder else "logits", path, "--tokens", tokens, "--exact", "-o", out,
                               *(["--hidden"] if encoder else [])], capture_output=True, stdin=subprocess.DEVNULL)
        return np.load(out) if done.returncode == 0 else done.stderr.decode(errors="replace").strip()


def judge(form, got, want):
    """(whether it holds, what to print)"""
    for x in (got, want):
        if isinstance(x, str):
            return False, x
    error = np.abs(got[:, :want.shape[1]] - want).max() / np.abs(want).max()
    return bool(error <= form.limit), f"{error:.2e} (limit {form.limit:.0e})"


def run(row, fmt, forms):
    model = checkpoints.open_row(row, fmt)
    plain, failed = numbers(model, row), 0
    for form in forms(model):
        other, base = copy.deepcopy(model), plain
        form.edit(other)
        if form.base:
            base = copy.deepcopy(model)
            form.base(base)
            base = numbers(base, row)
        holds, why = judge(form, numbers(other, row, form.shards), base)
        failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {row.name} {fmt}: {form.name}: {why}", flush=True)
    return failed


def listed_forms():
    """(row, format, forms) of forms.json; shared rows that are not here are left out."""
    path = ARGS.row / "forms.json"
    for f in json.loads(path.read_text()) if path.exists() else []:
        row = ARGS.shared / f["row"] if "row" in f else ARGS.row
        if (row / "tokens.json").exists():
            form = Form(f["form"], lambda m, steps=f["steps"]: take_steps(m, steps), f.get("limit", SAME))
            yield row, f["format"], lambda m, form=form: [form]


def shared_rows():
    lines = (ARGS.row / "rows.txt").read_text().splitlines()
    rows = [ARGS.shared / line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return [row for row in rows if (row / "hf").exists()]


parser = argparse.ArgumentParser()
parser.add_argument("tenon")
parser.add_argument("row", type=pathlib.Path)
parser.add_argument("--shared", type=pathlib.Path, default=pathlib.Path(os.devnull))
ARGS = parser.parse_args()
has_head = (ARGS.row / "greedy.json").exists()
failures = sum(run(ARGS.row, fmt, lambda m: general_forms(m, has_head)) for fmt in checkpoints.formats(ARGS.row))
failures += sum(run(row, "hf", rope_forms) for row in shared_rows())
failures += sum(run(row, fmt, forms) for row, fmt, forms in listed_forms())
sys.exit(1 if failures else 0)
