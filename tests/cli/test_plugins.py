#!/usr/bin/env python3
"""Drop-in plugins: one directory is all it takes, and no plugin file can take the host down."""
import os
import pathlib
import re
import shutil
import unittest

from support import DENSE, EXPERTS, PLUGINS, Case, greedy_of

CRASHING = pathlib.Path(os.environ["TENON_TEST_PLUGINS"])


class Drop_in(Case):
    def alone(self, name):
        folder = self.folder / "plugins"
        folder.mkdir()
        shutil.copy(PLUGINS / f"{name}.so", folder)
        return folder

    def greedy(self, model, row, *flags):
        want = greedy_of(row)
        done = self.works("run", model, "--tokens", ",".join(map(str, want["prompt"])), "-n", len(want["tokens"]), "--temp", "0",
                          "--ids", "--ignore-eos", "--exact", *flags)
        self.assertEqual(done.json(), want["tokens"])

    def test_one_plugin_alone_serves_its_models(self):
        folder = self.alone("mixtral")
        self.greedy(EXPERTS / "hf", EXPERTS, "--plugin-dir", folder)
        self.greedy(EXPERTS / "model.gguf", EXPERTS, "--plugin-dir", folder)

    def test_without_it_the_error_names_both_sides(self):
        folder = self.alone("llama")
        self.greedy(DENSE / "hf", DENSE, "--plugin-dir", folder)
        for model, name in ((EXPERTS / "hf", "MixtralForCausalLM"), (EXPERTS / "model.gguf", "llama")):
            with self.subTest(model=model.name):
                self.refused("run", model, "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=[name, "llama"])

    def test_list_as_a_table(self):
        plugins = self.works("plugin", "list", "--json").json()
        rows = self.works("plugin", "list", "--markdown").stdout.decode().splitlines()
        self.assertEqual({row.count("|") for row in rows}, {7})
        for plugin, row in zip(plugins, rows[2:], strict=True):
            names = [name for kind in plugin["architectures"].values() for name in kind]
            for name in (plugin["id"], *names):
                self.assertIn(f"`{name}`", row)

    def test_no_plugins_at_all(self):
        self.refused("run", DENSE / "hf", "--tokens", "1", "-n", "1", "--plugin-dir", self.folder, names=["LlamaForCausalLM"])

    def test_environment_variable_adds_a_directory(self):
        folder = self.alone("mixtral")
        listed = self.works("plugin", "list", "--json", env={"TENON_PLUGIN_PATH": str(folder)}).json()
        self.assertIn("llama", [p["id"] for p in listed])

    def test_the_same_file_twice_counts_once(self):
        folder = self.alone("llama")
        self.greedy(DENSE / "hf", DENSE, "--plugin-dir", folder, "--plugin-dir", PLUGINS)

    def test_a_pinned_plugin(self):
        self.greedy(DENSE / "hf", DENSE, "--arch", "llama")
        self.refused("run", DENSE / "hf", "--tokens", "1", "-n", "1", "--arch", "sphinx", names=["sphinx"])


class List_and_info(Case):
    def test_list(self):
        rows = self.works("plugin", "list", "--json").json()
        by_id = {row["id"]: row for row in rows}
        self.assertLessEqual({"llama", "mixtral"}, set(by_id))
        for row in rows:
            self.assertLessEqual({"id", "file", "version", "architectures", "abi", "trust", "status", "reason"}, set(row))
            self.assertEqual(set(row["architectures"]), {"hf", "model_type", "gguf"})
        self.assertIn("LlamaForCausalLM", by_id["llama"]["architectures"]["hf"])
        self.assertIn("llama", by_id["mixtral"]["architectures"]["gguf"])

    def test_info_by_id_and_by_file(self):
        by_id = self.works("plugin", "info", "llama", "--json").json()
        by_file = self.works("plugin", "info", PLUGINS / "llama.so", "--json").json()
        self.assertEqual(by_id["id"], "llama")
        self.assertEqual(by_file["architectures"], by_id["architectures"])
        self.refused("plugin", "info", "sphinx", names=["sphinx"])

    def test_text_output(self):
        self.assertIn(b"llama", self.works("plugin", "list").stdout)
        self.assertIn(b"LlamaForCausalLM", self.works("plugin", "info", "llama").stdout)


class Broken_plugins(Case):
    def only(self, data):
        (self.folder / "x.so").write_bytes(data)
        return self.folder

    def unusable(self, data, *words):
        folder = self.only(data)
        self.refused("run", DENSE / "hf", "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["LlamaForCausalLM"])
        row = self.works("plugin", "list", "--json", "--plugin-dir", folder).json()[0]
        self.assertNotEqual(row["status"], "ok")
        for word in words:
            self.assertIn(word, row["reason"])

    def test_another_abi(self):
        data = (PLUGINS / "llama.so").read_bytes()
        changed = re.sub(rb'"abi":\[\d,', b'"abi":[7,', data)
        self.assertNotEqual(changed, data)
        self.unusable(changed, "7")
        self.assertEqual(self.works("plugin", "info", self.folder / "x.so", "--json").json()["id"], "llama")

    def test_no_plugin_at_all(self):
        data = (PLUGINS / "llama.so").read_bytes()
        for bad in (b"", b"not an ELF file", data[:64], data[:len(data) // 2], pathlib.Path("/bin/true").read_bytes()):
            with self.subTest(size=len(bad)):
                self.unusable(bad)
                self.refused("plugin", "info", self.folder / "x.so", names=["x.so"])

    def test_a_constructor_that_aborts(self):
        crash = CRASHING / "aborting.so"
        info = self.works("plugin", "info", crash, "--json").json()
        self.assertEqual(info["id"], "aborting")
        self.assertEqual(info["version"], "1.0.0")
        folder = self.folder / "plugins"
        folder.mkdir()
        shutil.copy(crash, folder)
        self.refused("run", DENSE / "hf", "--tokens", "1", "-n", "1", "--plugin-dir", folder, names=["LlamaForCausalLM"])
        # Beside a good one it does no harm.
        shutil.copy(PLUGINS / "llama.so", folder)
        self.works("run", DENSE / "hf", "--tokens", "1", "-n", "1", "--temp", "0", "--ids", "--plugin-dir", folder)
        by_id = {row["id"]: row for row in self.works("plugin", "list", "--json", "--plugin-dir", folder).json()}
        self.assertEqual(by_id["aborting"]["architectures"]["hf"], ["LlamaForCausalLM"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
