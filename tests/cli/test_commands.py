#!/usr/bin/env python3
"""The contracts of the commands: spellings, what goes to stdout, exit status."""
import base64
import json
import os
import pathlib
import pty
import signal
import subprocess
import time
import unittest

from support import DENSE, EXPERTS, TENON, Case, Gguf, greedy_of, read_npy, tokens_of

MODELS = {"hf": DENSE / "hf", "gguf": DENSE / "model.gguf", "experts": EXPERTS / "model.gguf"}


def join(ids):
    return ",".join(map(str, ids))


class Run(Case):
    def test_ids(self):
        for name, model in MODELS.items():
            want = greedy_of(EXPERTS if name == "experts" else DENSE)
            done = self.works("run", model, "--tokens", join(want["prompt"]), "-n", len(want["tokens"]), "--temp", "0", "--ids",
                              "--ignore-eos", "--exact")
            with self.subTest(model=name):
                self.assertEqual(done.json(), want["tokens"])

    def test_streamed_text_is_the_whole_text(self):
        for model in MODELS.values():
            flags = ("-p", "Hello there", "-n", "24", "--temp", "0", "--raw")
            whole = self.works("run", model, *flags, "--json").json()
            self.assertEqual(self.works("run", model, *flags).stdout.decode(errors="replace"), whole["text"])
            self.assertEqual(self.works("run", model, *flags, "--ids").json(), whole["ids"])

    def test_json(self):
        done = self.works("run", DENSE / "hf", "--tokens", "1,2,3", "-n", "5", "--temp", "0", "--ignore-eos", "--json").json()
        self.assertLessEqual({"text", "ids", "finish_reason", "usage", "timings"}, set(done))
        self.assertEqual(done["finish_reason"], "length")
        self.assertEqual(done["usage"], {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
        self.assertEqual(len(done["ids"]), 5)

    def test_prompt_spellings_agree(self):
        flags = ("-n", "8", "--temp", "0", "--raw", "--ids")
        one = self.works("run", DENSE / "hf", "A prompt", *flags).json()
        self.assertEqual(self.works("run", DENSE / "hf", "-p", "A prompt", *flags).json(), one)
        self.assertEqual(self.works("run", DENSE / "hf", "-p", "-", *flags, stdin=b"A prompt").json(), one)
        self.assertEqual(self.works("run", DENSE / "hf", "-", *flags, stdin=b"A prompt").json(), one)

    def test_seed(self):
        def sample(seed, *more):
            return self.works("run", DENSE / "hf", "--tokens", tokens_of(), "-n", "12", "--temp", "1.5", "--seed", seed, "--ids",
                              "--ignore-eos", *more).json()

        self.assertEqual(sample(7), sample(7))
        self.assertNotEqual(sample(7), sample(8))
        self.assertEqual(sample(9, "--top-k", "1"), self.works("run", DENSE / "hf", "--tokens", tokens_of(), "-n", "12", "--temp",
                                                             "0", "--ids", "--ignore-eos").json())
        sample(1, "--top-p", "0.5", "--min-p", "0.1", "--top-k", "40")

    def test_backends_agree(self):
        flags = ("--tokens", "1,2,3,4,5", "-n", "8", "--temp", "0", "--ids", "--ignore-eos", "--exact")
        want = self.works("run", DENSE / "hf", *flags).json()
        for backend in ("cpu", "reference", "auto"):
            self.assertEqual(self.works("run", DENSE / "hf", *flags, "--backend", backend).json(), want)
        self.refused("run", DENSE / "hf", *flags, "--backend", "abacus", names=["abacus", "cpu", "reference"])

    def test_threads_do_not_matter(self):
        flags = ("--tokens", "1,2,3,4,5", "-n", "8", "--temp", "0", "--ids", "--ignore-eos", "--exact")
        self.assertEqual(self.works("run", DENSE / "hf", *flags, "-t", "1").json(),
                         self.works("run", DENSE / "hf", *flags, "-t", "3").json())

    def test_explain_goes_to_stderr(self):
        done = self.works("run", DENSE / "hf", "--tokens", "1,2", "-n", "1", "--temp", "0", "--ids", "--explain")
        self.assertIn("tenon.", done.stderr)
        json.loads(done.stdout)

    def test_a_longer_context_than_the_models(self):
        tokens = join([1 + i % 300 for i in range(150)])  # the model says 128
        self.refused("run", DENSE / "hf", "--tokens", tokens, "-n", "1", "--temp", "0", "--ids", names=["128"])
        self.works("run", DENSE / "hf", "--tokens", tokens, "-n", "1", "--temp", "0", "--ids", "--ctx", "256")

    def test_the_end_of_the_context_ends_the_answer(self):
        done = self.works("run", DENSE / "hf", "--tokens", "1,2,3,4", "--temp", "0", "--ignore-eos", "--ctx", "16", "--json").json()
        self.assertLessEqual(len(done["ids"]), 13)
        self.assertEqual(done["finish_reason"], "length")

    def test_interrupt(self):
        child = subprocess.Popen([TENON, "run", str(DENSE / "hf"), "--tokens", "1,2,3", "--temp", "0", "--ignore-eos", "--ctx",
                                  "1000000", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.5)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 130)
        self.assertEqual(json.loads(out)["finish_reason"], "cancelled")

    def test_progress_only_on_a_terminal(self):
        done = self.works("run", DENSE / "hf", "--tokens", "1,2,3", "-n", "1", "--temp", "0", "--ids")
        self.assertEqual(done.stderr, "")

    def test_no_colour_on_a_terminal(self):
        main, side = pty.openpty()
        env = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
        done = subprocess.run([TENON, "run", str(DENSE / "hf"), "--tokens", "1,2,3", "-n", "2", "--temp", "0"], stdout=side,
                              stderr=side, env=env, timeout=60)
        os.close(side)
        self.assertEqual(done.returncode, 0)
        self.assertNotIn(b"\x1b[3", os.read(main, 65536))
        os.close(main)


class Logits(Case):
    def logits(self, *flags, model=DENSE / "hf", tokens="5,6,7,8,9,10,11,12,13,14,15,16"):
        out = self.folder / "out.npy"
        self.works("logits", model, "--tokens", tokens, "-o", out, "--exact", *flags)
        return read_npy(out)

    def test_shape_and_invariance(self):
        shape, plain = self.logits()
        self.assertEqual(shape, (12, 320))
        largest = max(map(abs, plain))
        for flags in (("--chunks", "2,1,4"), ("--chunks", "12"), ("--decode-from", "5"), ("--decode-from", "0"), ("--batch", "3"),
                      ("--chunks", "4,4", "--batch", "2"), ("-t", "1")):
            again, values = self.logits(*flags)
            with self.subTest(flags=flags):
                self.assertEqual(again, shape)
                self.assertLess(max(abs(a - b) for a, b in zip(values, plain)), 1e-4 * largest)

    def test_bad_pieces(self):
        out = self.folder / "out.npy"
        for flags in (("--chunks", "0,2"), ("--chunks", "9,9"), ("--chunks", "x"), ("--batch", "0"), ("--decode-from", "-1")):
            with self.subTest(flags=flags):
                self.refused("logits", DENSE / "hf", "--tokens", "1,2,3", "-o", out, *flags, status=(2,))

    def test_output_that_cannot_be_written(self):
        self.refused("logits", DENSE / "hf", "--tokens", "1,2", "-o", self.folder / "no" / "x.npy", names=["x.npy"], status=(1,))


class Text(Case):
    SAMPLES = ("Hello, world", "  two  spaces\n\ttabs", "Größe 🙂 大きさ", "", "don't 12345 <|x|>")

    def test_round_trip(self):
        for model in (DENSE / "hf", DENSE / "model.gguf", DENSE / "hf" / "tokenizer.json"):
            for text in self.SAMPLES:
                path = self.folder / "in.txt"
                path.write_text(text)
                ids = self.works("tokenize", model, "--file", path, "--no-special").json()
                self.assertTrue(ids or not text)
                back = self.works("detokenize", model, "--ids", join(ids)).stdout
                with self.subTest(model=model.name, text=text):
                    self.assertEqual(back.decode(), text)

    def test_lines(self):
        path = self.folder / "in.jsonl"
        path.write_text("".join(json.dumps(text) + "\n" for text in self.SAMPLES))
        lines = self.works("tokenize", DENSE / "hf", "--file", path, "--lines", "--no-special").stdout.splitlines()
        self.assertEqual(len(lines), len(self.SAMPLES))
        for line, text in zip(lines, self.SAMPLES):
            (self.folder / "one.txt").write_text(text)
            self.assertEqual(json.loads(line), self.works("tokenize", DENSE / "hf", "--file", self.folder / "one.txt",
                                                          "--no-special").json())
        path.write_text("no json\n")
        self.refused("tokenize", DENSE / "hf", "--file", path, "--lines")

    def test_what_is_said_of_bare_files(self):
        self.refused("tokenize", DENSE / "hf", "x", "--nfc", names=["--nfc", "no bare vocabulary file"])
        path, special = self.folder / "bytes.tiktoken", self.folder / "special.json"
        path.write_text("".join(f"{base64.b64encode(bytes([b])).decode()} {b}\n" for b in range(256)))
        special.write_text('{"<x>": 300}')
        self.refused("tokenize", path, "x", names=["bytes.tiktoken", "--pre"])
        self.refused("tokenize", path, "x", "--pre", "nonsense", names=["nonsense"])
        self.refused("tokenize", DENSE / "hf" / "tokenizer.json", "x", "--pre", "gpt-2", names=["--pre", "tokenizer.json"])
        flags = ["--pre", "gpt-2", "--special", special]
        self.assertEqual(self.works("tokenize", path, "e\u0301<x>", *flags, "--nfc", "--parse-special").json(),
                         [0xc3, 0xa9, 300])
        lines = self.folder / "ids.jsonl"
        lines.write_text("[300, 97]\n[]\n")
        self.assertEqual(self.works("detokenize", path, "--file", lines, *flags).stdout, b'"<x>a"\n""\n')
        lines.write_text("[1, -1]\n")
        self.refused("detokenize", path, "--file", lines, *flags, names=["line 1"])

    def test_bad_ids(self):
        self.refused("detokenize", DENSE / "hf", "--ids", "999999", names=["999999"])


class Render(Case):
    MESSAGES = [{"role": "user", "content": "Hi"}]

    def file(self, name, value):
        path = self.folder / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def test_template_and_context(self):
        template = self.file("t.jinja", "{% for x in xs %}[{{ x }}]{% endfor %}{{ now is defined }}")
        done = self.works("render", "--template", template, "--context", self.file("c.json", {"xs": ["a", "ü"]}))
        self.assertEqual(done.stdout.decode(), "[a][ü]False")

    def test_the_clock(self):
        template = self.file("t.jinja", "{{ strftime_now('%Y-%m-%d %H:%M') }}")
        done = self.works("render", "--template", template, "--context", self.file("c.json", {}), "--now", "2026-11-23 12:00:00")
        self.assertEqual(done.stdout.decode(), "2026-11-23 12:00")

    def test_errors(self):
        context = self.file("c.json", {})
        for text in ("{{ 1 +", "{% for %}", "{{ raise_exception('no') }}", "{% if x %}"):
            with self.subTest(text=text):
                self.refused("render", "--template", self.file("t.jinja", text), "--context", context, status=(1,))

    def test_endless_template(self):
        text = "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}"
        self.refused("render", "--template", self.file("t.jinja", text), "--context", self.file("c.json", {}), status=(1,))

    def test_model(self):
        folder = self.copy_hf()
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config["chat_template"] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        messages = self.file("m.json", self.MESSAGES)
        self.assertEqual(self.works("render", folder, "--messages", messages).stdout, b"<user>Hi>")
        self.assertEqual(self.works("render", folder, "--messages", messages, "--no-generation-prompt").stdout, b"<user>Hi")


class Inspect(Case):
    def test_json(self):
        for name, model in MODELS.items():
            found = self.works("inspect", model, "--json").json()
            with self.subTest(model=name):
                self.assertEqual(found["format"], "safetensors" if name == "hf" else "gguf")
                self.assertEqual(found["plugin"], "mixtral" if name == "experts" else "llama")
                self.assertTrue(found["tensors"])
                for tensor in found["tensors"]:
                    self.assertEqual(set(tensor), {"name", "dtype", "shape", "bytes"})

    def test_text(self):
        out = self.works("inspect", DENSE / "hf").stdout.decode()
        self.assertIn("model.embed_tokens.weight", out)
        self.assertIn("plugin llama", out)

    def test_tensor(self):
        out = self.folder / "t.npy"
        self.works("inspect", DENSE / "model.gguf", "--tensor", "blk.0.ffn_down.weight", "-o", out)
        shape, values = read_npy(out)
        gguf = Gguf(DENSE / "model.gguf")
        dims, kind, offset = gguf.tensors[b"blk.0.ffn_down.weight"]
        self.assertEqual(shape, tuple(reversed(dims)))
        import struct
        self.assertEqual(values, struct.unpack_from(f"<{len(values)}f", gguf.data, offset))
        self.refused("inspect", DENSE / "model.gguf", "--tensor", "nothing", "-o", out, names=["nothing"])

    def test_a_model_no_plugin_knows(self):
        folder = self.copy_hf(config=lambda c: c.update(architectures=["SphinxForCausalLM"], model_type="sphinx"))
        found = self.works("inspect", folder, "--json").json()
        self.assertIsNone(found["plugin"])


class Bench(Case):
    def test_json(self):
        done = self.works("bench", DENSE / "model.gguf", "-p", "16", "-n", "4", "-r", "2", "-t", "1", "--json").json()
        self.assertLessEqual({"tests", "load_s", "ttft_s", "peak_rss_bytes", "isa"}, set(done))
        self.assertEqual([(t["n_prompt"], t["n_gen"], t["batch"]) for t in done["tests"]], [(16, 0, 1), (0, 4, 1)])
        for test in done["tests"]:
            self.assertLessEqual({"mean", "median", "stddev", "min", "max"}, set(test))
            self.assertGreater(test["min"], 0)
            self.assertLessEqual(test["min"], test["median"])
            self.assertLessEqual(test["median"], test["max"])
        self.assertGreater(done["bandwidth_gbs"], 0)

    def test_zero_leaves_a_test_out(self):
        only = self.works("bench", DENSE / "model.gguf", "-p", "0", "-n", "4", "-r", "1", "--batch", "3", "--json").json()["tests"]
        self.assertEqual([(t["n_prompt"], t["n_gen"], t["batch"]) for t in only], [(0, 4, 3)])
        only = self.works("bench", DENSE / "model.gguf", "-p", "8", "-n", "0", "-r", "1", "--json").json()["tests"]
        self.assertEqual([(t["n_prompt"], t["n_gen"]) for t in only], [(8, 0)])


class Usage(Case):
    def test_bad_usage_is_status_2(self):
        model = DENSE / "hf"
        for args in ([], ["fly"], ["run"], ["run", model], ["run", model, "--wings"], ["run", model, "a", "-p", "b"],
                     ["run", model, "a", "-n", "x"], ["run", model, "a", "-t", "0"], ["run", model, "a", "--ctx", "0"],
                     ["run", model, "a", "--temp", "-1"], ["run", model, "a", "--top-p", "7"], ["run", model, "a", "--temp", "nan"],
                     ["logits", model], ["logits", model, "--tokens", "1"], ["render"], ["render", "--template", "x"],
                     ["inspect", model, "--tensor", "x"], ["plugin"], ["plugin", "info"], ["tokenize", model], ["bench"],
                     ["run", model, "a", "--ids", "--json"]):
            with self.subTest(args=args):
                self.refused(*args, status=(2,))

    def test_help_and_version(self):
        self.assertIn(b"run", self.works("--help").stdout)
        self.assertIn(b"--temp", self.works("run", "--help").stdout)
        self.assertIn(b"tenon", self.works("--version").stdout)

    def test_a_name_that_is_no_model(self):
        done = self.refused("run", "sphinx", "hello", names=["sphinx"], status=(1,), env={"XDG_CACHE_HOME": str(self.folder)})
        self.assertEqual(done.stdout, b"")

    def test_a_name_in_the_cache(self):
        models = self.folder / "tenon" / "models"
        models.mkdir(parents=True)
        (models / "tiny.gguf").write_bytes((DENSE / "model.gguf").read_bytes())
        (models / "small").symlink_to(DENSE / "hf")
        for name in ("tiny", "small"):
            self.works("run", name, "--tokens", "1,2", "-n", "2", "--temp", "0", "--ids", env={"XDG_CACHE_HOME": str(self.folder)})


if __name__ == "__main__":
    unittest.main(verbosity=2)
