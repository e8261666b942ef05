#!/usr/bin/env python3
"""Compares tenon's tokenizers with the engines that the vocabularies were made for, over random Unicode strings:
Hugging Face tokenizers, sentencepiece, tiktoken, mistral-common, and a few lines of Python for RWKV. Prints a table;
status 1 when anything differs. Not part of the tests: it installs those engines into the cache at the first call.

  tools/compare_tokenizers.py [-n 10000] [--seed 1] [--tenon build/bin/tenon] [VOCABULARY ...]"""
import argparse
import ast
import base64
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from pip_env import rerun_with

ENGINES = ["tokenizers==0.23.3", "sentencepiece==0.2.3", "tiktoken==0.14.0", "mistral-common==1.13.1"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
PIECES = ["the", "Hello", "world", "don't", "I'LL", "we'Re", "'s", "x'\u017f", "HTTPServer", "getXML2Json", "Straße",
          "naïve", "e\u0301", "Привет", "ΑΒγ", "שלום", "مرحبا", "اَلْ", "नमस्ते", "สวัสดี", "ខ្មែរ", "မြန်မာ", "한국어",
          "\u1112\u1161\u11ab", "日本語", "中文字", "カタカナ", "ﾊﾝ", "ㄅㄆ", "１２３", "12", "1234567", "3.14", "²", "Ⅷ", "٣٤", "½",
          "_", "__init__", "->", "::", "...", "!?", "¿", "“”", "，。", "€", "∑", "→", "😀", "👩\u200d👩\u200d👧", "🇩🇪",
          "👍🏽", "\ufe0f", "\u200b", "\u200d", "\u00ad", "\ufeff", "\u0300\u0301", "\u0e31", "<|endoftext|>",
          "<|im_start|>", "<s>", "</s>", "[INST]", "[CLS]", "[UNK]", "<unk>", "<0x41>", "\u2581", "\u0120",
          "<｜begin▁of▁sentence｜>", "<|fim_prefix|>", "##ing", "http://a.b/c?d=e", "{\"a\": 1}", "\\n", "\t\tif (x) {",
          "ĲĿ", "ǅ", "ﬁ", "İ", "ß", "ﬀ", "K", "Å"]
SPACES = [" ", "  ", "    ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085",
          "\u1680", "\u202f", "\u205f", "\u180e", "\x0b", "\x0c", "\x1c", "\x1f"]


def code_points():
    """Every character that this Python's Unicode has, without surrogates, private ones and NUL."""
    return [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def random_strings(count, seed):
    pick = random.Random(seed)
    everything, low = code_points(), [chr(c) for c in range(1, 0x250)]
    strings = []
    for _ in range(count):
        parts = []
        for _ in range(pick.randrange(0, 13)):
            kind = pick.random()
            if kind < 0.45:
                parts.append(pick.choice(PIECES))
            elif kind < 0.65:
                parts.append(pick.choice(SPACES))
            elif kind < 0.75:
                parts.append("".join(pick.choices(low, k=pick.randrange(1, 5))))
            elif kind < 0.9:
                parts.append("".join(pick.choices(everything, k=pick.randrange(1, 4))))
            else:
                parts.append(pick.choice(PIECES[:-1]) * pick.randrange(2, 5))
        strings.append("".join(parts))
    return strings


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = "|".join([rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?",
                  rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?", r"\p{N}{1,3}",
                  r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TIKTOKEN = {  # vocabulary: pre name, pattern, special tokens
    "gpt2": ("gpt-2", GPT2, {"<|endoftext|>": 50256}),
    "p50k": ("p50k_base", GPT2, {"<|endoftext|>": 50256}),
    "cl100k": ("cl100k", r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"
               r"\s++$|\s*[\r\n]|\s+(?!\S)|\s", {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258,
                                                 "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260,
                                                 "<|endofprompt|>": 100276}),
    "o200k": ("o200k", O200K, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
    "qwen2": ("qwen2", CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
              r"\s+(?!\S)|\s+",
              {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}),
}


class Engine:
    """One vocabulary in its own engine: encode and decode as tenon is asked to."""
    name, parses_special, flags, path = "", False, (), None  # path: another than the vocabulary's
    unknown = ""  # characters that the engine's Unicode tables are too old for: left out of the strings

    def encode(self, text):
        raise NotImplementedError

    def decode(self, ids):
        raise NotImplementedError


class Tiktoken(Engine):
    name, parses_special = "tiktoken", True

    def __init__(self, vocabulary, path):
        import tiktoken
        pre, pattern, special = TIKTOKEN[vocabulary]
        self.engine = tiktoken.Encoding(vocabulary, pat_str=pattern, mergeable_ranks=self.ranks(path),
                                        special_tokens=special)
        self.special = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(special, self.special)
        self.special.flush()
        self.flags = ["--pre", pre, "--special", self.special.name]

    @staticmethod
    def ranks(path):
        lines = [line.split() for line in path.read_bytes().splitlines() if line]
        return {base64.b64decode(token): int(rank) for token, rank in lines}

    def encode(self, text):
        return self.engine.encode(text, allowed_special="all")

    def decode(self, ids):
        return self.engine.decode(ids)


class TiktokenModel(Tiktoken):
    """The same ranks as a checkpoint's tiktoken.model, whose class cuts Chinese text off first."""

    def __init__(self, vocabulary, path):
        import tiktoken
        upper, lower = (f"[{letters[1:-1]}&&[^\\p{{Han}}]]" for letters in (UPPER, LOWER))
        pattern = "|".join([r"[\p{Han}]+", rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{CONTRACTIONS}?",
                            rf"[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{CONTRACTIONS}?", r"\p{N}{1,3}",
                            r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
        ranks = self.ranks(path)
        names = {len(ranks): "<s>", len(ranks) + 1: "<|im_start|>"}
        special = {names.get(i, f"<|reserved_token_{i}|>"): i for i in range(len(ranks), len(ranks) + 256)}
        self.engine = tiktoken.Encoding(vocabulary, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        self.folder = tempfile.TemporaryDirectory()
        folder = self.path = pathlib.Path(self.folder.name)
        (folder / "tiktoken.model").write_bytes(path.read_bytes())
        (folder / "tokenizer_config.json").write_text(json.dumps({
            "tokenizer_class": "TikTokenTokenizer",
            "added_tokens_decoder": {i: {"content": name, "special": True} for i, name in names.items()}}))


class HuggingFace(Engine):
    name, parses_special = "tokenizers", True

    def __init__(self, vocabulary, path):
        import tokenizers
        self.engine = tokenizers.Tokenizer.from_file(str(path))
        self.engine.no_padding()
        self.engine.no_truncation()
        parts = json.loads(path.read_text())
        if (parts["normalizer"] or {}).get("type") == "NFKC":
            self.unknown = "".join(c for c in code_points() if self.engine.normalizer.normalize_str(c) !=
                                   unicodedata.normalize("NFKC", c))
        elif parts["model"]["type"] == "WordPiece":
            self.unknown = "".join(c for c in code_points() if c > "\x7f" and c != "\ufffd" and self.is_behind(c))

    def is_behind(self, c):
        """True when WordPiece's steps do with a character what its category does not say: marks and controls are taken
        out, punctuation is cut off."""
        category = unicodedata.category(c)
        dropped = self.engine.normalizer.normalize_str(f"a{c}b") == "ab"
        cut = len(self.engine.pre_tokenizer.pre_tokenize_str(f"a{c}b")) == 3
        return dropped != (category in ("Mn", "Cc", "Cf")) or cut != category.startswith("P")

    def encode(self, text):
        return self.engine.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.engine.decode(ids, skip_special_tokens=False)


class FromGguf(HuggingFace):
    """The default model's byte-level BPE, set up in Hugging Face's parts from its GGUF."""
    name, parses_special = "tokenizers", True

    def __init__(self, vocabulary, path):
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers
        sys.path.insert(0, str(ROOT / "tests" / "golden"))
        from checkpoints import Gguf
        kv = Gguf(path).kv
        tokens, kinds, merges = (kv[b"tokenizer.ggml." + key][1][1] for key in (b"tokens", b"token_type", b"merges"))
        self.engine = tokenizers.Tokenizer(models.BPE(
            vocab={token.decode(): i for i, token in enumerate(tokens)},
            merges=[tuple(merge.decode().split(" ")) for merge in merges]))
        self.engine.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        self.engine.decoder = decoders.ByteLevel()
        self.engine.add_special_tokens([token.decode() for token, kind in zip(tokens, kinds) if kind == 3])


class SentencePiece(Engine):
    name = "sentencepiece"

    def __init__(self, vocabulary, path):
        import sentencepiece
        self.engine = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(self, text):
        return self.engine.encode(text)

    def decode(self, ids):
        return self.engine.decode(ids)


class MistralCommon(Engine):
    name = "mistral-common"

    def __init__(self, vocabulary, path):
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        self.engine = Tekkenizer.from_file(path)

    def encode(self, text):
        return self.engine.encode(text, bos=False, eos=False)

    def decode(self, ids):
        return self.engine.decode(ids)


class Rwkv(Engine):
    name = "greedy (Python)"

    def __init__(self, vocabulary, path):
        lines = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").split("\n") if line]
        literals = {int(number): ast.literal_eval(rest.rsplit(" ", 1)[0]) for number, rest in lines}
        self.tokens = {i: t.encode() if isinstance(t, str) else t for i, t in literals.items()}
        self.ids = {t: i for i, t in self.tokens.items()}
        self.longest = max(map(len, self.ids))

    def encode(self, text):
        data, ids, at = text.encode(), [], 0
        while at < len(data):
            length = next(n for n in range(self.longest, 0, -1) if data[at:at + n] in self.ids)
            ids.append(self.ids[data[at:at + length]])
            at += length
        return ids

    def decode(self, ids):
        return b"".join(self.tokens[i] for i in ids).decode()


ENGINE_OF = {"anthropic": HuggingFace, "bert-minilm": HuggingFace, "deepseek-v3": HuggingFace, "smollm2": FromGguf,
             "mistral-spm-v1": SentencePiece, "mistral-spm-v3": SentencePiece, "tekken-240718": MistralCommon,
             "tekken-240911": MistralCommon, "rwkv-world": Rwkv, "o200k tiktoken.model": TiktokenModel,
             **{name: Tiktoken for name in TIKTOKEN}}


def lines_of(tenon, command, path, values, *flags):
    """What tenon prints for a file of these JSON values."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.write("".join(json.dumps(v) + "\n" for v in values))
        lines.flush()
        done = subprocess.run([tenon, command, path, "--file", lines.name, *flags], capture_output=True)
    if done.returncode:
        sys.exit(f"compare_tokenizers.py: error: {path}: {done.stderr.decode(errors='replace').strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def first_difference(kind, text, wanted, got):
    if isinstance(wanted, list):
        at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
        wanted, got = wanted[at:at + 4], got[at:at + 4]
    return f"{kind} of {json.dumps(text)[:120]}: {str(wanted)[:60]} there, {str(got)[:60]} here"


def compare(tenon, engine, path, strings):
    strings = [s.translate(dict.fromkeys(map(ord, engine.unknown))) for s in strings]
    wanted = [engine.encode(s) for s in strings]
    special = ["--parse-special"] if engine.parses_special else []
    got = lines_of(tenon, "tokenize", path, strings, "--no-special", "--lines", *special, *engine.flags)
    texts = lines_of(tenon, "detokenize", path, wanted, *engine.flags)
    ids_differ = [first_difference("ids", *row) for row in zip(strings, wanted, got, strict=True) if row[1] != row[2]]
    text_differs = [first_difference("text", s, w, t) for s, w, t in
                    zip(strings, (engine.decode(ids) for ids in wanted), texts, strict=True) if w != t]
    return len(strings) - len(ids_differ), len(strings) - len(text_differs), (ids_differ + text_differs)[:3]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tenon", default=ROOT / "build" / "bin" / "tenon")
    parser.add_argument("vocabulary", nargs="*", metavar="VOCABULARY")
    options = parser.parse_args()
    names = options.vocabulary or sorted(ENGINE_OF)
    fetch = ROOT / "tools" / "fetch_vocabularies"
    files = sorted({name.split()[0] for name in names})
    done = subprocess.run([fetch, *files], stdout=subprocess.PIPE, text=True, check=True)
    paths = dict(line.split("\t") for line in done.stdout.splitlines())
    strings = random_strings(options.n, options.seed)
    print(f"{options.n} strings, seed {options.seed}, characters of Unicode {unicodedata.unidata_version}")
    print(f"{'engine':16} {'vocabulary':20} {'strings':>8} {'ids equal':>10} {'text equal':>10}  first differences")
    status = 0
    for name in names:
        path = pathlib.Path(paths[name.split()[0]])
        engine = ENGINE_OF[name](name, path)
        ids, text, differences = compare(options.tenon, engine, engine.path or path, strings)
        first = differences[0] if differences else "-"
        print(f"{engine.name:16} {name:20} {len(strings):8} {ids:10} {text:10}  {first}", flush=True)
        if engine.unknown:
            print(f"{'':68}  ({len(engine.unknown)} characters left out, for which its Unicode tables are too old)")
        for difference in differences[1:]:
            print(f"{'':68}  {difference}")
        status |= bool(differences)
    return status


if __name__ == "__main__":
    rerun_with("compare-tokenizers", *ENGINES)
    sys.exit(main())
