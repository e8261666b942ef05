#!/usr/bin/env python3
"""Measures constrained decoding over the shared JSON Schemas: compiling, and the token mask before each token of every
valid instance, with llguidance over the same vocabulary and texts beside it. tenon is measured with a fresh grammar for
each instance (cold) and along the same text once more (warm). Not part of the tests: it installs packages into the
cache at the first call.

  tools/bench_grammar.py [--schemas FILE] [--tenon build/bin/tenon] [VOCABULARY ...]"""
import argparse
import ctypes
import json
import pathlib
import subprocess
import sys
import time

from pip_env import rerun_with

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ["llguidance==1.9.1", "tiktoken==0.14.0", "tokenizers==0.23.3"]
VOCABULARIES = ["qwen2", "smollm2"]


def percentile(times, p):
    return sorted(times)[min(len(times) - 1, int(p * len(times)))] if times else 0.0


def spread(times):
    return {"n": len(times), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times, default=0)}


def tenon_row(tenon, path, flags, schemas):
    command = [tenon, "grammar", "bench", path, "--schemas", schemas, *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_grammar.py: error: {done.stderr.strip()}")
    out = json.loads(done.stdout)
    masks = [("cold", out["mask_cold_us"]), ("warm", out["mask_warm_us"])]
    return out["compile_ms"], masks, f"{out['refused']} refused"


def llguidance_tokenizer(engine):
    """Of compare_tokenizers' engine for the vocabulary."""
    import llguidance.tiktoken
    if engine.name == "tiktoken":
        end = engine.engine.max_token_value
        return llguidance.tiktoken.lltokenizer_from_encoding(engine.engine, eos_token=end)
    from llguidance import LLTokenizer
    return LLTokenizer(engine.engine.to_str(), eos_token=2)


def llguidance_row(engine, cases):
    """Its matcher fills a mask of the caller's before each token, as tenon does."""
    from llguidance import LLMatcher, LLTokenizer
    tokenizer = llguidance_tokenizer(engine).with_slices(LLTokenizer.json_slices())
    compile_ms, mask_us, refused, unlike = [], [], 0, 0
    mask = ctypes.create_string_buffer((tokenizer.vocab_size + 31) // 32 * 4)
    for case in cases:
        for text in case["valid_text"]:
            start = time.perf_counter()
            matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(json.dumps(case["schema"])), log_level=0)
            compile_ms.append((time.perf_counter() - start) * 1e3)
            if matcher.is_error():
                refused += 1
                break
            for token in engine.encode(text):
                start = time.perf_counter()
                matcher.unsafe_compute_mask_ptr(ctypes.addressof(mask), len(mask))
                mask_us.append((time.perf_counter() - start) * 1e6)
                if not matcher.consume_token(token):
                    unlike += 1
                    break
    return spread(compile_ms), [("", spread(mask_us))], f"{refused} refused, {unlike} valid texts cut off"


def print_rows(name, vocabulary, row):
    compile_ms, masks, remark = row
    for kind, times in masks:
        print(f"{vocabulary:10} {name + ' ' + kind:18} {compile_ms['p50']:8.2f} {compile_ms['max']:8.2f} {times['n']:7}"
              f" {times['p50']:8.1f} {times['p99']:8.1f} {times['max']:9.1f}  {remark}", flush=True)


def main():
    import compare_tokenizers
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=pathlib.Path, default=ROOT.parent / "shared" / "text" / "schemas.jsonl")
    parser.add_argument("--tenon", default=ROOT / "build" / "bin" / "tenon")
    parser.add_argument("vocabulary", nargs="*", metavar="VOCABULARY")
    options = parser.parse_args()
    names = options.vocabulary or VOCABULARIES
    fetch = [ROOT / "tools" / "fetch_vocabularies", *names]
    done = subprocess.run(fetch, stdout=subprocess.PIPE, text=True, check=True)
    paths = dict(line.split("\t") for line in done.stdout.splitlines())
    cases = [json.loads(line) for line in options.schemas.read_text().splitlines()]
    print(f"{'vocabulary':10} {'engine':18} {'compile':>8} {'max ms':>8} {'masks':>7} {'p50 us':>8} {'p99 us':>8}"
          f" {'max us':>9}")
    for name in names:
        path = pathlib.Path(paths[name])
        engine = compare_tokenizers.ENGINE_OF[name](name, path)
        print_rows("tenon", name, tenon_row(options.tenon, path, engine.flags, options.schemas))
        print_rows("llguidance", name, llguidance_row(engine, cases))


if __name__ == "__main__":
    rerun_with("bench-grammar", *PACKAGES)
    sys.exit(main())
