#!/usr/bin/env python3
"""Random models of a given shape and format, for speed and memory tests; what they say means nothing.

  tools/make_model.py OUT.gguf --type Q4_K_M --hidden 2048 --layers 22 --heads 32 --kv-heads 4 --ff 5632 --vocab 32000
  tools/make_model.py OUT.gguf --type Q8_0 --tokenizer-from OTHER.gguf       the vocabulary of another model
  tools/make_model.py OUT_DIR --format safetensors --type BF16

A dense decoder in the llama wiring. Weights have the scale of an initialised model, so that activations neither vanish
nor overflow. F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 are quantised from random numbers; Q4_K Q5_K Q6_K are random blocks
with scales to match. Q4_K_M and Q5_K_M are the usual mixes; like Q4_0 they keep the output in Q6_K. A row that is no
multiple of 256 falls back to Q5_0 (from Q4_K), Q5_1 (from Q5_K) or Q8_0. The package gguf is installed into an environment of its own at first use."""
import argparse
import json
import pathlib
import shutil
import struct
import sys

from pip_env import rerun_with

if __name__ == "__main__":
    rerun_with("gguf", "gguf==0.19.0", "numpy==1.26.4")

import gguf  # noqa: E402
import numpy as np  # noqa: E402

FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
PLAIN = ("F32", "F16", "BF16")
TYPES = (*PLAIN, "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q4_K_M", "Q5_K_M")


class Shape:
    def __init__(self, args):
        self.d, self.layers, self.heads, self.ff, self.vocab = args.hidden, args.layers, args.heads, args.ff, args.vocab
        self.kv_heads = args.kv_heads or args.heads
        self.head = args.head_dim or args.hidden // args.heads
        self.tied = args.tied

    def tensors(self):
        """(GGUF name, HF name, shape) of every tensor in file order."""
        d, q, kv = self.d, self.heads * self.head, self.kv_heads * self.head
        yield "token_embd", "model.embed_tokens", (self.vocab, d)
        for i in range(self.layers):
            for ours, theirs, shape in (
                    ("attn_norm", "input_layernorm", (d,)), ("attn_q", "self_attn.q_proj", (q, d)),
                    ("attn_k", "self_attn.k_proj", (kv, d)), ("attn_v", "self_attn.v_proj", (kv, d)),
                    ("attn_output", "self_attn.o_proj", (d, q)), ("ffn_norm", "post_attention_layernorm", (d,)),
                    ("ffn_gate", "mlp.gate_proj", (self.ff, d)), ("ffn_up", "mlp.up_proj", (self.ff, d)),
                    ("ffn_down", "mlp.down_proj", (d, self.ff))):
                yield f"blk.{i}.{ours}", f"model.layers.{i}.{theirs}", shape
        yield "output_norm", "model.norm", (d,)
        if not self.tied:
            yield "output", "lm_head", (self.vocab, d)


def type_of(name, shape, kind, layers):
    """The stored type of one tensor under the file type `kind`."""
    if len(shape) == 1:
        return "F32"
    wanted = kind
    if kind in ("Q4_K_M", "Q5_K_M"):
        wanted = kind[:4]
        layer = int(name.split(".")[1]) if name.startswith("blk.") else -1
        eighth = layers // 8
        if layer >= 0 and (layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2):
            if name.endswith(("attn_v", "ffn_down")):
                wanted = "Q6_K"
    if kind in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K_M", "Q5_K_M", "Q4_K", "Q5_K") and name == "output":
        wanted = "Q6_K"
    return FALLBACK[wanted] if shape[-1] % 256 and wanted in FALLBACK else wanted


def numbers(rng, name, shape):
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    std = 1.0 if name == "token_embd" else 1 / np.sqrt(shape[-1])
    return rng.standard_normal(shape, np.float32) * np.float32(std)


def half(value, n):
    return np.full(n, value, np.float16).view(np.uint8).reshape(n, 2)


def packed_scales(rng, n):
    """Eight 6-bit scales of 32..63 a block, each also the minimum's, in the 12 bytes of Q4_K and Q5_K; Q6_K has no use for it."""
    s = rng.integers(32, 64, (n, 8), np.uint8)
    low, high = s[:, :4], s[:, 4:]
    first = low | (high >> 4) << 6
    return np.concatenate([first, first, (high & 15) | (high & 15) << 4], axis=1)


def random_blocks(rng, shape, kind, std):
    """Blocks of 256 values with zero mean and deviation `std`: levels are uniform, scales 47.5 on average."""
    n = shape[0] * shape[1] // 256
    if kind == "Q6_K":
        bits, scales = rng.integers(0, 256, (n, 192), np.uint8), rng.integers(32, 64, (n, 16), np.uint8)
        blocks = np.concatenate([bits, scales, half(std / (47.5 * 18.5), n)], axis=1)
    else:
        levels = {"Q4_K": 16, "Q5_K": 32}[kind]
        d = std / (47.5 * np.sqrt((levels**2 - 1) / 12))
        bits = rng.integers(0, 256, (n, 128 if kind == "Q4_K" else 160), np.uint8)
        blocks = np.concatenate([half(d, n), half(d * (levels - 1) / 2, n), packed_scales(rng, n), bits], axis=1)
    return blocks.reshape(shape[0], -1)


def stored(rng, name, shape, kind):
    if kind in FALLBACK:
        return random_blocks(rng, shape, kind, 1.0 if name == "token_embd" else 1 / np.sqrt(shape[-1]))
    values = numbers(rng, name, shape)
    if kind in ("F32", "F16"):
        return values.astype(np.float32 if kind == "F32" else np.float16)
    return gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])


def tokenizer_fields(path):
    fields = [f for name, f in gguf.GGUFReader(path).fields.items() if name.startswith("tokenizer.")]
    return fields or sys.exit(f"make_model: error: {path} has no tokenizer")


def add_tokenizer(writer, fields, vocab):
    if not fields:
        writer.add_tokenizer_model("no_vocab")
        return
    for field in fields:
        kind = field.types[0]
        value = field.contents()
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(field.name, value, kind, field.types[-1])
        else:
            writer.add_key_value(field.name, value, kind)


def write_gguf(path, shape, args, rng):
    fields = tokenizer_fields(args.tokenizer_from) if args.tokenizer_from else []
    for field in fields:
        if field.name == "tokenizer.ggml.tokens":
            shape.vocab = len(field.data)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"random {args.type}")
    writer.add_context_length(args.ctx)
    writer.add_embedding_length(shape.d)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab)
    add_tokenizer(writer, fields, shape.vocab)
    kinds = []
    for name, _, dims in shape.tensors():
        kind = type_of(name, dims, args.type, shape.layers)
        kinds.append((name, dims, kind))
        quant = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[quant]
        if dims[-1] % block:
            sys.exit(f"make_model: error: {name} has rows of {dims[-1]}, {kind} needs multiples of {block}")
        rows = dims if kind in ("F32", "F16") else (*dims[:-1], dims[-1] // block * size)
        dtype = {"F32": np.float32, "F16": np.float16}.get(kind, np.uint8)
        writer.add_tensor_info(name + ".weight", rows, np.dtype(dtype), int(np.prod(dims)) // block * size, raw_dtype=quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, dims, kind in kinds:
        writer.write_tensor_data(stored(rng, name, dims, kind))
    writer.close()


def write_safetensors(folder, shape, args, rng):
    if args.type not in PLAIN:
        sys.exit(f"make_model: error: safetensors take {', '.join(PLAIN)}, not {args.type}")
    folder.mkdir(parents=True, exist_ok=True)
    torch_type = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[args.type]
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": shape.d,
              "intermediate_size": shape.ff, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
              "num_key_value_heads": shape.kv_heads, "head_dim": shape.head, "max_position_embeddings": args.ctx,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": shape.vocab, "hidden_act": "silu",
              "tie_word_embeddings": shape.tied, "torch_dtype": torch_type}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if args.tokenizer_from:
        for file in args.tokenizer_from.glob("tokenizer*"):
            shutil.copy(file, folder)
    header, at, width = {}, 0, 4 if args.type == "F32" else 2
    for _, name, dims in shape.tensors():
        size = int(np.prod(dims)) * width
        header[name + ".weight"] = {"dtype": args.type, "shape": dims, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, _, dims in shape.tensors():
            values = numbers(rng, name, dims)
            if args.type == "BF16":
                values = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
            out.write((values.astype(np.float16) if args.type == "F16" else values).tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--format", choices=("gguf", "safetensors"), default="gguf")
    parser.add_argument("--type", choices=TYPES, default="F16")
    for name, value in (("hidden", 512), ("layers", 4), ("heads", 8), ("kv-heads", 0), ("head-dim", 0), ("ff", 1536),
                        ("vocab", 32000), ("ctx", 4096), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{value} without it")
    parser.add_argument("--tied", action="store_true", help="the output is the embedding table")
    parser.add_argument("--tokenizer-from", type=pathlib.Path, help="a GGUF, or for safetensors a model directory")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    shape = Shape(args)
    (write_gguf if args.format == "gguf" else write_safetensors)(args.out, shape, args, rng)
    size = sum(f.stat().st_size for f in ([args.out] if args.out.is_file() else args.out.iterdir()))
    print(f"{args.out}: {size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
