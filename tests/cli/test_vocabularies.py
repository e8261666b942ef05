"""The shared reference ids: of every vocabulary that tools/fetch_vocabularies brings out of packages, and of those that
lie beside them, ids and decoded text must be the reference's. Skips with a reason what is not here."""
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from support import tenon

ROOT = pathlib.Path(os.environ["TENON_SOURCE_DIR"])
SHARED = ROOT.parent / "shared" / "text"
REFERENCES = sorted((SHARED / "tokenizers").glob("*.public-corpus.json"))
# Which vocabulary a reference was made with, where the names differ.
SAME = {"qwen2-nfc": "qwen2", "llamacpp-smollm2": "smollm2"}
PRE = {"gpt2": "gpt-2", "cl100k": "cl100k", "o200k": "o200k", "qwen2": "qwen2", "qwen2-nfc": "qwen2"}
QWEN_SPECIAL = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
# llama.cpp's WordPiece keeps Indic and Hangul marks apart and cuts words of more than 100 characters; Hugging Face's,
# with which bert-minilm was made, is what the models were trained with.
ONLY_HUGGING_FACE = {
    "llamacpp-bert-bge": ("bert-minilm", {
        "indic_sea-001", "indic_sea-003", "cjk-009", "odd_unicode-013", "long-001", "long-003", "long-007", "long-011",
        "long-015", "long-019", "mix-001", "random_unicode-017", "random_unicode-037", "random_unicode-039"})}


def reference(name):
    return json.loads((SHARED / "tokenizers" / f"{name}.public-corpus.json").read_text())


@functools.lru_cache
def fetched(name):
    """(path, nothing) or (nothing, why not)."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "fetch_vocabularies", name], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return pathlib.Path(done.stdout.split("\t")[1].strip()), None


def lines_of(command, file, values, *flags):
    """What the command prints for a file of these JSON values."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.write("".join(json.dumps(v) + "\n" for v in values))
        lines.flush()
        done = tenon(command, file, "--file", lines.name, *flags)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


class Vocabularies(unittest.TestCase):
    def file_of(self, name):
        if name.startswith("llamacpp-") and name not in SAME:
            return SHARED / "vocab" / f"ggml-vocab-{name.removeprefix('llamacpp-')}.gguf"
        path, why = fetched(SAME.get(name, name))
        if path is None:
            self.skipTest(f"{name}: {why}")
        return path

    def flags_of(self, name, values):
        """What a tiktoken file does not say itself."""
        if name not in PRE:
            return []
        special = tempfile.NamedTemporaryFile("w", suffix=".json")
        self.addCleanup(special.close)
        json.dump(values.get("special_tokens") or QWEN_SPECIAL, special)
        special.flush()
        return ["--pre", PRE[name], "--special", special.name, *(["--nfc"] if name.endswith("-nfc") else [])]

    def check_ids(self, file, texts, wanted, *flags):
        done, got = lines_of("tokenize", file, texts.values(), "--no-special", "--lines", *flags)
        self.assertEqual(done.status, 0, done.stderr)
        self.assertEqual([i for i, ids in zip(texts, got, strict=True) if ids != wanted[i]], [])

    def check(self, name):
        values = reference(name)
        file, flags = self.file_of(name), self.flags_of(name, values)
        texts = {c["id"]: c["text"] for c in map(json.loads, (SHARED / "corpus.jsonl").read_text().splitlines())}
        ids = values["ids"]
        if name in ONLY_HUGGING_FACE:
            other, exceptions = ONLY_HUGGING_FACE[name]
            ids = ids | {i: reference(other)["ids"][i] for i in exceptions}
        special = [] if values["special_tokens_in_text"].startswith("not") else ["--parse-special"]
        self.check_ids(file, texts, ids, *special, *flags)
        if "ids_plain" in values:
            self.check_ids(file, texts, ids | values["ids_plain"], *flags)
        if "decoded" in values:
            done, got = lines_of("detokenize", file, [ids[i] for i in texts], *flags)
            self.assertEqual(done.status, 0, done.stderr)
            wanted = texts | values["decoded"]
            self.assertEqual([i for i, text in zip(texts, got, strict=True) if text != wanted[i]], [])

    def test_references(self):
        if not REFERENCES:
            self.skipTest(f"no reference ids in {SHARED}")
        for file in REFERENCES:
            name = file.name.removesuffix(".public-corpus.json")
            with self.subTest(name):
                self.check(name)

    def test_both_tekken_files_are_one_vocabulary(self):
        if not REFERENCES:
            self.skipTest(f"no corpus in {SHARED}")
        texts = [json.loads(line)["text"] for line in (SHARED / "corpus.jsonl").read_text().splitlines()]
        first, second = (lines_of("tokenize", self.file_of(name), texts, "--lines", "--parse-special")[1]
                         for name in ("tekken-240718", "tekken-240911"))
        self.assertEqual(first, second)


if __name__ == "__main__":
    unittest.main(verbosity=2)
