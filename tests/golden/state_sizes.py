#!/usr/bin/env python3
"""What a sequence keeps, as `tenon inspect --state` says it, against what follows from config.json's own numbers.

  state_sizes.py TENON DIR...     rows, each with hf/ and perhaps model.gguf, which must say the same where it holds the
                                  same windows

The theory goes by the words of a config, not by the architecture: whoever has kv_lora_rank keeps latent rows, whoever has
conv_kernel convolutions, and so on. Elements are counted by kind; kinds with a window must be those of the config."""
import json
import pathlib
import subprocess
import sys

PAGE, LENGTHS = 32, (0, 1, 33, 1000)
KV_BYTES, SLOT_BYTES = {False: 2, True: 4}, 4


def first(config, *keys, default=None):
    """The value of the first key that is there and not null."""
    return next((config[k] for k in keys if config.get(k) is not None), default)


def linear_attention(c):
    """Layers that update a matrix per head, behind convolutions of queries, keys and values."""
    linear = c.get("linear_attn_config", {})
    heads, dim = first(linear, "num_heads", default=c.get("linear_num_heads")), first(linear, "head_dim", default=c.get("linear_head_dim"))
    kernel = first(linear, "short_conv_kernel_size", default=c.get("linear_conv_kernel_dim"))
    layers = len(linear["kda_layers"]) if linear else c["layer_types"].count("linear_attention")
    conv = layers * (kernel - 1) * 3 * heads * dim
    return {"conv": conv, "recurrent": layers * heads * dim * dim}


def latent(c, layers):
    return {"mla_latent": layers * (c["kv_lora_rank"] + c["qk_rope_head_dim"])}


def selective_scan(c):
    """A convolution's last inputs and a state vector per channel, or per head's channel."""
    extra = c.get("ssm_cfg", {})
    layers = first(c, "num_hidden_layers", "n_layer")
    inner = first(c, "intermediate_size", default=first(c, "expand", default=2) * first(c, "hidden_size", "d_model"))
    n = first(c, "state_size", default=extra.get("d_state", 16))
    width = inner
    if c.get("num_heads"):
        inner = c["num_heads"] * c["head_dim"]
        width = inner + 2 * c["n_groups"] * n
    kernel = first(c, "conv_kernel", default=extra.get("d_conv", 4))
    return {"conv": layers * (kernel - 1) * width, "recurrent": layers * inner * n}


def token_shift(c):
    """Two shifted rows a layer and a square matrix per head."""
    layers, width = c["num_hidden_layers"], c["hidden_size"]
    head = first(c, "head_size", "head_dim")
    return {"conv": layers * 2 * width, "recurrent": layers * first(c, "attention_hidden_size", default=width) * head}


def keys_and_values(c):
    heads = c["num_attention_heads"]
    shared = first(c, "num_key_value_heads", "num_kv_heads", default=heads)
    head = first(c, "head_dim", default=c["hidden_size"] // heads)
    return {"kv": c["num_hidden_layers"] * shared * head * 2}


def theory(c):
    """Elements by kind: of one position of what grows, of all of what does not."""
    if "linear_attn_config" in c:
        return {**linear_attention(c), **latent(c, len(c["linear_attn_config"]["full_attn_layers"]))}
    if "linear_num_heads" in c:
        return {**linear_attention(c), **latent(c, c["layer_types"].count("full_attention"))}
    if c.get("kv_lora_rank"):
        return latent(c, c["num_hidden_layers"])
    if "conv_kernel" in c or "ssm_cfg" in c:
        return selective_scan(c)
    if "rescale_every" in c or "a_low_rank_dim" in c:
        return token_shift(c)
    return keys_and_values(c)


def held_pages(window, tokens):
    """Pages with a position that the next query sees."""
    gone = max(0, tokens - window + 1) // PAGE if window else 0
    return -(-tokens // PAGE) - gone


def windows(c):
    """Layers by window, where the config says which is which."""
    kinds = c.get("layer_types") or []
    sliding = sum(k == "sliding_attention" for k in kinds)
    return {c["sliding_window"]: sliding, 0: len(kinds) - sliding} if sliding else {}


def inspect(model, tokens, *flags):
    done = subprocess.run([TENON, "inspect", model, "--state", str(tokens), "--json", *flags], capture_output=True)
    if done.returncode:
        sys.exit(f"FAIL {model}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)["state"]


def differences(state, c, exact):
    """What of one report does not follow from the config."""
    found, sums = [], {}
    for line in state["kinds"]:
        per_token, fixed = line["bytes_per_token"], line["bytes_fixed"]
        sums[line["kind"]] = sums.get(line["kind"], 0) + per_token + fixed
        pages = held_pages(line["window"], state["tokens"]) if per_token else 0
        if line["pages"] != pages or line["bytes"] != fixed + pages * PAGE * per_token:
            found.append(f"{line} at {state['tokens']} tokens: {pages} pages were expected")
    width = {kind: KV_BYTES[exact] if kind in ("kv", "mla_latent") else SLOT_BYTES for kind in sums}
    want = {kind: n * width.get(kind, 0) for kind, n in theory(c).items()}
    if sums != want:
        found.append(f"bytes by kind {sums}, expected {want}")
    layers = {line["window"]: line["states"] for line in state["kinds"]}
    known = {0, first(c, "sliding_window", default=0) if c.get("use_sliding_window", True) else 0}
    if (windows(c) and layers != windows(c)) or not set(layers) <= known:
        found.append(f"layers by window {layers}, expected {windows(c) or known}")
    if state["bytes"] != sum(line["bytes"] for line in state["kinds"]):
        found.append(f"{state['bytes']} bytes are not the sum of the kinds")
    return found


def check_row(row):
    config = json.loads((row / "hf" / "config.json").read_text())
    config = config.get("text_config", config)
    encoder = (row / "hidden.npy").exists()
    found = []
    for tokens in LENGTHS:
        for exact in (False, True):
            state = inspect(row / "hf", tokens, *(["--exact"] if exact else []))
            found += ([] if not state["kinds"] else ["an encoder keeps nothing"]) if encoder else differences(state, config, exact)
    if (row / "model.gguf").exists():
        hf, gguf = (inspect(row / m, 1) for m in ("hf", "model.gguf"))
        if hf["bytes"] != gguf["bytes"]:
            found.append(f"{gguf['bytes']} bytes by the GGUF, {hf['bytes']} by config.json")
    return found


TENON = sys.argv[1]
failed = 0
for row in map(pathlib.Path, sys.argv[2:]):
    problems = check_row(row)
    failed += bool(problems)
    print(f"{'FAIL' if problems else 'ok  '} {row.name}", *problems, sep="\n     " if problems else "")
sys.exit(1 if failed else 0)
