#!/usr/bin/env python3
"""chat, list, doctor, perplexity, embed, and what is written from the table of commands: man page and completions."""
import json
import math
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time
import unittest

from support import DENSE, ENCODER, EXPERTS, PLUGINS, TENON, Case, read_npy, tenon

TEMPLATE = b"{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"


class WithTemplate(Case):
    def setUp(self):
        super().setUp()
        self.model = self.copy_gguf(lambda g: g.set("tokenizer.chat_template", 8, TEMPLATE))


class Chat(WithTemplate):
    FLAGS = ("-n", "2", "--temp", "0", "--exact")  # short enough for the random answers to be whole UTF-8

    def answer(self, messages):
        file = self.folder / "messages.json"
        file.write_text(json.dumps(messages))
        prompt = self.works("render", self.model, "--messages", file).stdout
        ids = self.works("tokenize", self.model, "--file", "-", "--no-special", "--parse-special", stdin=prompt).json()
        return self.works("run", self.model, "--tokens", ",".join(map(str, ids)), *self.FLAGS, "--json").json()

    def test_lines_from_a_pipe(self):
        done = self.works("chat", self.model, *self.FLAGS, "--json", stdin=b"One\n\nTwo\\\nlines\n/reset\nThree\n/exit\nFour\n")
        got = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(got), 3)
        first = self.answer([{"role": "user", "content": "One"}])
        self.assertEqual(got[0]["ids"], first["ids"])
        second = self.answer([{"role": "user", "content": "One"}, {"role": "assistant", "content": first["text"]},
                              {"role": "user", "content": "Two\nlines"}])
        self.assertEqual(got[1]["ids"], second["ids"])
        self.assertEqual(got[2]["ids"], self.answer([{"role": "user", "content": "Three"}])["ids"])

    def test_system_and_plain_text(self):
        done = self.works("chat", self.model, *self.FLAGS, "--system", "Be brief", stdin=b"One\n/strange\n/help\n")
        want = self.answer([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "One"}])
        self.assertEqual(done.stdout.decode(errors="replace"), want["text"] + "\n")
        self.assertIn("/strange", done.stderr)

    def test_without_a_template(self):
        model = self.copy_gguf(lambda g: g.kv.pop(b"tokenizer.chat_template", None))
        self.refused("chat", model, names=["chat template"], stdin=b"One\n")

    def test_a_conversation_beyond_the_context_is_an_error_from_a_pipe(self):
        self.refused("chat", self.model, "--ctx", "16", stdin=b"word " * 40 + b"\n", names=["16"], status=(1, 2))

    def test_terminal(self):
        """Editing, history, Ctrl-C in an answer and at the prompt, Ctrl-D."""
        state = self.folder / "state"
        env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(state), "LC_ALL": "C.UTF-8"}
        main, side = pty.openpty()
        child = subprocess.Popen([TENON, "chat", str(self.model), "--temp", "0", "--ctx", "1000000", "--logit-bias", "1=-100"], stdin=side,
                                 stdout=side, stderr=side, env=env, start_new_session=True,
                                 preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
        os.close(side)
        seen = b""

        def until(pattern, seconds=60):
            nonlocal seen
            end = time.monotonic() + seconds
            while not re.search(pattern, seen):
                self.assertLess(time.monotonic(), end, (pattern, seen[-500:]))
                if select.select([main], [], [], 0.5)[0]:
                    seen += os.read(main, 65536)
            seen = b""

        def type_in(text):
            os.write(main, text)

        try:
            until(rb"> ")
            type_in(b"thrown away")
            until(rb"away")
            type_in(b"\x03")
            until(rb"> ")
            type_in(b"Hellx\x7fo\n")
            until(rb"(?s)\n.{40}")  # the answer, which would go on for hours
            os.kill(child.pid, signal.SIGINT)
            until(rb"per second\]")
            type_in(b"/reset\n")
            type_in(b"\x1b[A\x1b[A")
            until(rb"Hello")
            type_in(b"\x15/exit\n")
            child.wait(timeout=30)
        finally:
            child.kill()
            os.close(main)
        self.assertEqual(child.returncode, 0)
        history = state / "tenon" / "chat_history"
        self.assertIn("Hello", history.read_text())
        self.assertEqual(history.stat().st_mode & 0o077, 0)


class Json(WithTemplate):
    def test_commands_that_print_text(self):
        file = self.folder / "messages.json"
        file.write_text('[{"role": "user", "content": "One"}]')
        plain = self.works("render", self.model, "--messages", file).stdout
        self.assertEqual(self.works("render", self.model, "--messages", file, "--json").json(), plain.decode())
        ids = ",".join(map(str, self.works("tokenize", self.model, "One two", "--no-special", "-t", "1").json()))
        self.assertEqual(self.works("detokenize", self.model, "--ids", ids, "--json").json(), "One two")


class List(Case):
    def setUp(self):
        super().setUp()
        self.models = self.folder / "cache" / "tenon" / "models"
        self.models.mkdir(parents=True)
        self.env = {"XDG_CACHE_HOME": str(self.folder / "cache")}

    def test_models(self):
        shutil.copytree(DENSE / "hf", self.models / "one")
        shutil.copy(EXPERTS / "model.gguf", self.models / "two.gguf")
        (self.models / "broken.gguf").write_bytes(b"GGUF")
        (self.models / "part-00002-of-00003.gguf").write_bytes(b"")
        (self.models / "note.txt").write_text("no model")
        rows = {row["name"]: row for row in self.works("list", "--json", env=self.env).json()}
        self.assertEqual(sorted(rows), ["broken", "one", "two"])
        self.assertEqual((rows["one"]["format"], rows["one"]["architecture"]), ("safetensors", "LlamaForCausalLM"))
        self.assertEqual(rows["one"]["bytes"], (DENSE / "hf/model.safetensors").stat().st_size)
        self.assertEqual((rows["two"]["format"], rows["two"]["architecture"]), ("gguf", "llama"))
        self.assertEqual(rows["two"]["bytes"], (EXPERTS / "model.gguf").stat().st_size)
        self.assertIsNone(rows["one"]["error"])
        self.assertTrue(rows["broken"]["error"])
        self.assertEqual(self.works("list", "--names", env=self.env).stdout, b"broken\none\ntwo\n")
        self.assertIn(b"LlamaForCausalLM", self.works("list", env=self.env).stdout)
        self.works("run", "one", "--tokens", "1,2", "-n", "1", "--temp", "0", "--ids", env=self.env)

    def test_none(self):
        self.assertEqual(self.works("list", "--json", env={"XDG_CACHE_HOME": str(self.folder / "no")}).json(), [])


class Doctor(Case):
    def test_json(self):
        done = self.works("doctor", "--json").json()
        self.assertLessEqual({"version", "isa", "processors", "memory_bytes", "bandwidth_gbs", "onednn", "plugin_dirs", "models",
                              "problems"}, set(done))
        self.assertEqual(done["problems"], [])
        self.assertGreater(done["bandwidth_gbs"], 0.1)
        self.assertGreaterEqual(done["plugin_dirs"][0]["usable"], 2)

    def test_it_names_what_is_amiss(self):
        (self.folder / "bad.so").write_bytes(b"no plugin")
        done = tenon("doctor", "--quick", "--json", "--plugin-dir", self.folder)
        self.assertEqual(done.status, 1)
        self.assertEqual(done.json()["plugin_dirs"][0]["refused"], 1)
        self.assertEqual(len(done.json()["problems"]), 2)
        text = tenon("doctor", "--quick", "--plugin-dir", self.folder / "none")
        self.assertEqual(text.status, 1)
        self.assertIn(b"problem", text.stdout)
        self.works("doctor", "--quick", "--plugin-dir", PLUGINS)


class Perplexity(Case):
    TEXT = "A text of some length, told twice. " * 9

    def nll(self, ids):
        out = self.folder / "logits.npy"
        self.works("logits", DENSE / "hf", "--tokens", ",".join(map(str, ids)), "--exact", "-o", out)
        (_, vocab), values = read_npy(out)
        total = 0
        for t in range(len(ids) - 1):
            row = values[t * vocab:(t + 1) * vocab]
            top = max(row)
            total += top + math.log(sum(math.exp(x - top) for x in row)) - row[ids[t + 1]]
        return total

    def test_it_is_what_the_logits_say(self):
        file = self.folder / "text.txt"
        file.write_text(self.TEXT)
        ids = self.works("tokenize", DENSE / "hf", "--file", file).json()
        for ctx in (40, 128):
            got = self.works("perplexity", DENSE / "hf", "--file", file, "--exact", "--ctx", ctx, "--json").json()
            windows = [ids[i:i + ctx] for i in range(0, len(ids), ctx)]
            n = sum(len(w) - 1 for w in windows)
            want = sum(map(self.nll, windows)) / n
            self.assertEqual((got["tokens"], got["predicted"], got["window"]), (len(ids), n, ctx))
            self.assertAlmostEqual(got["mean_nll"], want, delta=1e-4 * want)
            self.assertAlmostEqual(got["perplexity"], math.exp(got["mean_nll"]), delta=1e-6 * got["perplexity"])
        text = self.works("perplexity", DENSE / "hf", "--file", "-", stdin=self.TEXT.encode()).stdout.decode()
        self.assertRegex(text, r"^perplexity \d+\.\d+ over \d+ tokens")

    def test_too_short(self):
        self.refused("perplexity", DENSE / "hf", "--file", "-", stdin=b"", names=["2"], status=(2,))
        self.refused("perplexity", DENSE / "hf", "--file", self.folder / "none", names=["none"], status=(1,))


class Embed(Case):
    def test_a_model_without_hidden_states(self):
        out = self.folder / "x.npy"
        for given in (("--tokens", "1,2,3"), ("Some text",)):
            self.refused("embed", DENSE / "hf", *given, "--hidden", "-o", out, names=["hidden", "llama"], status=(1,))
        self.refused("embed", DENSE / "hf", "Some text", names=["embedding", "llama"], status=(1,))
        self.refused("embed", DENSE / "hf", "--hidden", "-o", out, status=(2,))
        self.assertFalse(out.exists())

    def test_one_vector_for_a_text(self):
        for model in (ENCODER / "hf", ENCODER / "model.gguf"):
            plain = self.works("embed", model, "Some text").json()
            self.assertEqual(len(plain), 48)
            self.assertAlmostEqual(sum(x * x for x in plain), 1, places=4)
            whole = self.works("embed", model, "Some text", "--json").json()
            self.assertEqual(whole["embedding"], plain)
            self.assertGreater(whole["prompt_tokens"], 1)
            self.works("embed", model, "Some text", "-o", self.folder / "v.npy")
            self.assertIn(b"'shape': (48, )", (self.folder / "v.npy").read_bytes()[:128])

    def test_an_encoder_takes_texts_whole_and_continues_none(self):
        model, long = ENCODER / "hf", ",".join(["5"] * 129)
        self.refused("run", model, "--tokens", "1,2,3", "-n", "2", "--ids", names=["encoder"], status=(1,))
        self.refused("perplexity", model, "--file", "-", stdin=b"Some words, and more.", names=["encoder"], status=(1,))
        self.refused("embed", model, "--tokens", long, names=["129", "128"], status=(1,))
        self.works("embed", model, "--tokens", long, "--ctx", "200")
        self.refused("embed", model, "--tokens", "1,320", names=["320"], status=(2,))


class Manual(Case):
    def commands(self):
        text = self.works("--help").stdout.decode()
        return re.findall(r"^  ([a-z]+) ", text[text.index("Subcommands"):], re.M)

    def test_man_page(self):
        page = self.works("man").stdout.decode()
        for command in self.commands():
            self.assertIn(f".SS tenon {command}", page)
        self.assertIn("\\fB\\-\\-plugin\\-dir\\fR", page)
        if shutil.which("man"):
            shown = subprocess.run(["man", "--warnings", "-l", "-"], input=page.encode(), capture_output=True,
                                   env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
            self.assertEqual((shown.returncode, shown.stderr), (0, b""))
            self.assertIn(b"--plugin-dir", shown.stdout)

    def complete(self, *words):
        script = self.works("completion", "bash").stdout.decode()
        quoted = " ".join(f"'{w}'" for w in words)
        script += f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _tenon; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        done = subprocess.run(["bash", "-u"], input=script.encode(), capture_output=True, cwd=self.folder,
                              env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")})
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_bash(self):
        models = self.folder / "cache/tenon/models"
        models.mkdir(parents=True)
        (models / "small.gguf").write_bytes(b"")
        (self.folder / "here.gguf").write_bytes(b"")
        self.assertEqual(self.complete("tenon", "tok"), ["tokenize"])
        self.assertIn("--temperature", self.complete("tenon", "run", "--te"))
        self.assertEqual(set(self.complete("tenon", "plugin", "")), {"list", "info"})
        self.assertIn("--json", self.complete("tenon", "plugin", "list", "--j"))
        self.assertEqual(set(self.complete(TENON, "run", "")), {"small", "here.gguf", "cache"})
        self.assertEqual(self.complete("tenon", "nothing", "h"), ["here.gguf"])

    def test_other_shells(self):
        for shell, command in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = self.works("completion", shell).stdout
            for name in self.commands():
                self.assertIn(name.encode(), script)
            if shutil.which(shell):
                file = self.folder / shell
                file.write_bytes(script)
                self.assertEqual(subprocess.run([*command, file], capture_output=True).stderr, b"")
        self.refused("completion", "cmd", names=["bash", "zsh", "fish"], status=(2,))


if __name__ == "__main__":
    unittest.main(verbosity=2)
