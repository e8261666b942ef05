#!/usr/bin/env python3
"""The SDK from outside: an installation in a folder of its own, the template plugin built against that alone, and what a
third party's .so can do and cannot.

Environment as for tests/cli, and TENON_BUILD (the build directory), CMAKE, CXX."""
import array
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import support
from support import DENSE, Case, Gguf, greedy_of, read_npy, tokens_of

CMAKE, BUILD = os.environ["CMAKE"], os.environ["TENON_BUILD"]
SOURCE = pathlib.Path(os.environ["TENON_SOURCE_DIR"])
# Nothing of the build may help: not its libraries, not its plugins, not the user's folders.
CLEAN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

_folder = prefix = project = plugin = None


def run(*command, env=None):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def build_project(source):
    """The plugin of a project, built in <source>/build against the installation alone."""
    build = source / "build"
    run(CMAKE, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", env={**CLEAN, "CXX": os.environ["CXX"]})
    run(CMAKE, "--build", build, env=CLEAN)
    return build / "template.so"


def setUpModule():
    global _folder, prefix, project, plugin
    _folder = tempfile.TemporaryDirectory()
    folder = pathlib.Path(_folder.name)
    run(CMAKE, "--install", BUILD, "--prefix", folder / "first")
    prefix = folder / "moved"  # an installation may be moved as a whole
    (folder / "first").rename(prefix)
    project = folder / "project"
    shutil.copytree(prefix / "share/tenon/template", project)
    plugin = build_project(project)
    support.TENON = str(prefix / "bin/tenon")


def tearDownModule():
    _folder.cleanup()


def rename_config(config):
    config["architectures"], config["model_type"] = ["ExampleForCausalLM"], "example"


def rename_gguf(gguf):
    old = gguf.kv[b"general.architecture"][1]
    gguf.set("general.architecture", 8, b"example")
    gguf.kv = {re.sub(b"^" + old + rb"\.", b"example.", key): value for key, value in gguf.kv.items()}


class Outside(Case):
    def models(self):
        return {"hf": self.copy_hf(config=rename_config), "gguf": self.copy_gguf(rename_gguf)}

    def directory(self, *files):
        folder = self.folder / "plugins"
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        return folder


class Installation(Outside):
    def test_layout(self):
        for file in ("bin/tenon", "lib/tenon/plugins/llama.so", "include/tenon/plugin.hpp", "include/tenon/abi.h",
                     "lib/cmake/TenonSDK/TenonSDKConfig.cmake", "lib/cmake/TenonSDK/TenonPlugin.cmake",
                     "lib/cmake/TenonSDK/tenon_plugin.map", "share/doc/tenon/LICENSE", "share/doc/tenon/NOTICE",
                     "share/man/man1/tenon.1", "share/bash-completion/completions/tenon"):
            self.assertTrue((prefix / file).is_file(), file)

    def test_it_runs_by_itself(self):
        libraries = run("ldd", prefix / "bin/tenon", env=CLEAN)
        self.assertNotIn("not found", libraries)
        self.assertNotIn(str(SOURCE), libraries)
        self.assertNotIn(BUILD, libraries)
        if (prefix / "lib/tenon/libdnnl.so.3").exists():
            for name in ("libdnnl", "libgomp"):
                path = re.search(name + r"\S* => (\S+)", libraries).group(1)
                self.assertEqual(pathlib.Path(path).resolve().parent, (prefix / "lib/tenon").resolve(), name)
        want = greedy_of()
        got = json.loads(run(prefix / "bin/tenon", "run", DENSE / "hf", "--tokens", ",".join(map(str, want["prompt"])), "-n",
                             len(want["tokens"]), "--temp", 0, "--ids", "--ignore-eos", "--exact", env=CLEAN))
        self.assertEqual(got, want["tokens"])

    def test_no_path_of_the_build_in_what_is_installed(self):
        for file in prefix.rglob("*.cmake"):
            self.assertNotIn(str(SOURCE), file.read_text(), file)
        self.assertNotIn(str(SOURCE), run("readelf", "-d", prefix / "bin/tenon"))


class Template(Outside):
    def test_it_needs_libc_alone_and_shows_one_symbol(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", plugin))
        self.assertTrue(all(re.match(r"libc\.|libm\.|ld-linux", n) for n in needed), needed)
        symbols = [line.split()[-1] for line in run("nm", "-D", "--defined-only", plugin).splitlines()]
        self.assertEqual(symbols, ["tenon_plugin"])

    def test_info(self):
        info = self.works("plugin", "info", plugin, "--json").json()
        self.assertEqual((info["id"], info["status"]), ("template", "ok"))
        self.assertEqual(info["architectures"], {"hf": ["ExampleForCausalLM"], "model_type": ["example"], "gguf": ["example"]})

    def test_its_numbers_are_the_references(self):
        folder = self.directory(plugin)
        data = (DENSE / "logits.npy").read_bytes()
        want = array.array("f", data[10 + int.from_bytes(data[8:10], "little"):])
        largest = max(map(abs, want))
        for name, model in self.models().items():
            out = self.folder / f"{name}.npy"
            self.works("logits", model, "--tokens", tokens_of(), "--exact", "--plugin-dir", folder, "-o", out)
            got = read_npy(out)[1]
            with self.subTest(format=name):
                self.assertEqual(len(got), len(want))
                self.assertLess(max(abs(a - b) for a, b in zip(got, want)), 2e-4 * largest)

    def test_dropped_into_the_installation(self):
        models = self.models()
        self.refused("run", models["hf"], "--tokens", "1", "-n", "1", names=["ExampleForCausalLM"])
        self.refused("run", models["gguf"], "--tokens", "1", "-n", "1", names=["example"])
        run(CMAKE, "--install", project / "build", "--prefix", prefix)
        self.addCleanup((prefix / "lib/tenon/plugins/template.so").unlink)
        want = greedy_of()
        for model in models.values():
            done = self.works("run", model, "--tokens", ",".join(map(str, want["prompt"])), "-n", len(want["tokens"]), "--temp",
                              "0", "--ids", "--ignore-eos", "--exact")
            self.assertEqual(done.json(), want["tokens"])

    def test_an_environment_variable_finds_it(self):
        folder = self.directory(plugin)
        done = self.works("plugin", "list", "--json", env={"TENON_PLUGIN_PATH": str(folder)}).json()
        self.assertLessEqual({"llama", "template"}, {row["id"] for row in done})

    def test_the_same_file_twice_counts_once(self):
        folder = self.directory(plugin)
        shutil.copy(plugin, folder / "again.so")
        self.works("run", self.copy_hf(config=rename_config), "--tokens", "1,2", "-n", "1", "--temp", "0", "--ids", "--plugin-dir",
                   folder)

    def test_a_key_that_it_does_not_read(self):
        def strange(config):
            rename_config(config)
            config["strange_scale"] = 3.5

        model, folder = self.copy_hf(config=strange), self.directory(plugin)
        self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["strange_scale"])
        self.works("run", model, "--tokens", "1", "-n", "1", "--temp", "0", "--ids", "--plugin-dir", folder, "--allow-unread")

    def test_a_tensor_that_it_does_not_use(self):
        def extra(header, body):
            header["model.strange.weight"] = {**header["model.norm.weight"]}
            size = header["model.norm.weight"]["data_offsets"][1] - header["model.norm.weight"]["data_offsets"][0]
            header["model.strange.weight"]["data_offsets"] = [len(body), len(body) + size]
            body.extend(bytes(size))

        model, folder = self.copy_hf(config=rename_config, tensors=extra), self.directory(plugin)
        self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["model.strange.weight"])

    def test_a_missing_and_a_misshapen_tensor(self):
        folder = self.directory(plugin)
        for kind in ("missing", "misshapen"):
            def edit(gguf):
                rename_gguf(gguf)
                if kind == "missing":
                    del gguf.tensors[b"blk.1.attn_k.weight"]
                else:
                    gguf.tensors[b"blk.1.attn_k.weight"][0].reverse()

            self.refused("run", self.copy_gguf(edit), "--tokens", "1", "-n", "1", "--plugin-dir", folder,
                         names=["blk.1.attn_k.weight"])


class Encoder(Outside):
    """A second plugin from the same template: it gives hidden states beside the logits."""

    def test_hidden_states(self):
        build = self.folder / "encoder"
        shutil.copytree(project, build, ignore=shutil.ignore_patterns("build"))
        text = (build / "template.cpp").read_text()
        changed = text.replace("    x = g.rms_norm(g.wanted_rows(x)", '    g.hidden(g.rms_norm(x, {"model.norm", "output_norm"}, c_.eps));\n    '
                                                                     "x = g.rms_norm(g.wanted_rows(x)")
        self.assertNotEqual(changed, text)
        (build / "template.cpp").write_text(changed)
        built = build_project(build)
        model, folder = self.copy_hf(config=rename_config), self.directory(built)
        out = self.folder / "hidden.npy"
        flags = ("--exact", "--plugin-dir", folder, "-o", out)
        done = self.works("embed", model, "--tokens", tokens_of(), "--hidden", *flags, "--json").json()
        shape, hidden = read_npy(out)
        self.assertEqual(list(shape), done["shape"])
        self.assertEqual(shape, (len(tokens_of().split(",")), 64))
        # The last layer's product with the head, done here, gives the logits.
        head = self.folder / "head.npy"
        self.works("inspect", model, "--tensor", "lm_head.weight", "-o", head)
        (vocab, d), weights = read_npy(head)
        self.works("logits", model, "--tokens", tokens_of(), *flags)
        _, want = read_npy(out)
        row = shape[0] - 1
        got = [sum(weights[v * d + i] * hidden[row * d + i] for i in range(d)) for v in range(vocab)]
        expected = want[row * vocab:(row + 1) * vocab]
        self.assertLess(max(abs(a - b) for a, b in zip(got, expected)), 1e-4 * max(map(abs, expected)))
        by_text = self.works("embed", model, "Some text", "--hidden", *flags, "--json").json()
        self.assertEqual(by_text["shape"][1], 64)


class Hostile(Outside):
    def unusable(self, data, *words):
        folder = self.directory()
        (folder / "template.so").write_bytes(data)
        model = self.copy_hf(config=rename_config)
        self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["ExampleForCausalLM"])
        row = self.works("plugin", "list", "--json", "--plugin-dir", folder).json()[0]
        self.assertNotEqual(row["status"], "ok")
        for word in words:
            self.assertIn(word, row["reason"])
        shutil.rmtree(folder), shutil.rmtree(model)

    def test_another_abi(self):
        changed = re.sub(rb'"abi":\[\d,', b'"abi":[7,', plugin.read_bytes())
        self.unusable(changed, "7")

    def test_cut_short_and_overwritten(self):
        data = plugin.read_bytes()
        for bad in (data[:64], data[:len(data) // 2], b"\x7fELF" + bytes(4096), data.replace(b'"id":"template"', b'"id":"templat\x00"')):
            self.unusable(bad)

    def test_a_plugin_that_crashes_or_hangs_beside_it_is_told_apart(self):
        build = self.folder / "crashing"
        shutil.copytree(project, build, ignore=shutil.ignore_patterns("build"))
        text = (build / "template.cpp").read_text()
        (build / "template.cpp").write_text(text + "\n__attribute__((constructor)) static void crash() { __builtin_trap(); }\n")
        model, folder = self.copy_hf(config=rename_config), self.directory(build_project(build))
        self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["ExampleForCausalLM"])
        shutil.copy(plugin, folder / "good.so")
        self.works("run", model, "--tokens", "1", "-n", "1", "--temp", "0", "--ids", "--plugin-dir", folder)

    def test_a_foreign_directory(self):
        folder = self.directory(plugin)
        folder.chmod(0o777)
        model = self.copy_hf(config=rename_config)
        self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["ExampleForCausalLM"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
