#!/usr/bin/env python3
"""Broken and hostile model files: each ends in one clear error line, none in a crash."""
import struct
import unittest

from support import DENSE, Case, Gguf, tokens_of

RUN = ("--tokens", "1,2,3", "-n", "2", "--temp", "0", "--ids")


class Gguf_files(Case):
    def test_truncated(self):
        data = (DENSE / "model.gguf").read_bytes()
        for size in (0, 3, 8, 20, 24, 100, 4000, len(data) // 2, len(data) - 1):
            path = self.folder / "cut.gguf"
            path.write_bytes(data[:size])
            with self.subTest(size=size):
                self.refused("run", path, *RUN, names=["cut.gguf"])
                self.refused("inspect", path, names=["cut.gguf"])

    def test_tensor_past_the_end(self):
        def edit(gguf):
            gguf.tensors[b"output_norm.weight"][2] = 1 << 40

        path = self.copy_gguf(edit)
        self.refused("run", path, *RUN, names=["output_norm.weight", str(1 << 40)[:6]])

    def test_absurd_counts(self):
        for at, what in ((8, "tensor"), (16, "key")):
            data = bytearray((DENSE / "model.gguf").read_bytes())
            struct.pack_into("<Q", data, at, 1 << 62)
            path = self.folder / "counts.gguf"
            path.write_bytes(data)
            with self.subTest(what=what):
                self.refused("run", path, *RUN, names=["counts.gguf"])

    def test_absurd_dimension(self):
        path = self.copy_gguf(lambda g: g.tensors[b"output_norm.weight"][0].__setitem__(0, 1 << 62))
        self.refused("run", path, *RUN, names=["output_norm.weight"])

    def test_too_many_layers(self):
        path = self.copy_gguf(lambda g: g.set("llama.block_count", 4, (1 << 31)))
        self.refused("run", path, *RUN, names=["block_count"])

    def test_unknown_rope_type(self):
        path = self.copy_gguf(lambda g: g.set("llama.rope.scaling.type", 8, b"spiral"))
        self.refused("run", path, *RUN, names=["spiral"])

    def test_missing_tensor(self):
        path = self.copy_gguf(lambda g: g.tensors.pop(b"blk.1.ffn_up.weight"))
        self.refused("run", path, *RUN, names=["blk.1.ffn_up.weight"])

    def test_surplus_tensor(self):
        def edit(gguf):
            gguf.tensors[b"blk.1.mystery.weight"] = [[32], 0, len(gguf.data)]
            gguf.data += bytes(128)

        self.refused("run", self.copy_gguf(edit), *RUN, names=["blk.1.mystery.weight"])

    def test_unread_key(self):
        path = self.copy_gguf(lambda g: g.set("llama.attention.wobble", 6, 2.5))
        self.refused("run", path, *RUN, names=["llama.attention.wobble"])
        done = self.works("run", path, *RUN, "--allow-unread")
        self.assertIn("llama.attention.wobble", done.stderr)

    def test_wrong_shape(self):
        def edit(gguf):
            gguf.tensors[b"blk.0.attn_q.weight"][0].reverse()
            gguf.tensors[b"blk.0.attn_q.weight"][0][:] = [32, 128]

        self.refused("run", self.copy_gguf(edit), *RUN, names=["blk.0.attn_q.weight"])

    def test_unknown_architecture(self):
        path = self.copy_gguf(lambda g: g.set("general.architecture", 8, b"sphinx"))
        self.refused("run", path, *RUN, names=["sphinx", "llama"])

    def test_rewritten_file_still_runs(self):
        path = self.copy_gguf(lambda g: None)
        self.assertEqual(self.works("run", path, *RUN).json(), self.works("run", DENSE / "model.gguf", *RUN).json())


class Model_directories(Case):
    def test_safetensors_header_of_2_to_60(self):
        folder = self.copy_hf()
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
        self.refused("run", folder, *RUN, names=["model.safetensors", str(1 << 60)])

    def test_safetensors_cut(self):
        data = (DENSE / "hf" / "model.safetensors").read_bytes()
        folder = self.copy_hf()
        for size in (0, 4, 8, 200, len(data) // 2, len(data) - 1):
            (folder / "model.safetensors").write_bytes(data[:size])
            with self.subTest(size=size):
                self.refused("run", folder, *RUN, names=["model.safetensors"])

    def test_safetensors_tensor_past_the_end(self):
        def edit(header, body):
            header["model.norm.weight"]["data_offsets"] = [1 << 50, (1 << 50) + 256]

        self.refused("run", self.copy_hf(tensors=edit), *RUN, names=["model.norm.weight"])

    def test_too_many_layers(self):
        for n in (1 << 31, 5000, -1, 0):
            with self.subTest(n=n):
                self.setUp()
                folder = self.copy_hf(config=lambda c: c.update(num_hidden_layers=n))
                self.refused("run", folder, *RUN, names=["4096"] if n == 5000 else ["num_hidden_layers"] if n else [])

    def test_absurd_widths(self):
        for key in ("hidden_size", "vocab_size", "intermediate_size", "num_attention_heads", "head_dim"):
            for value in (1 << 31, (1 << 63) - 1, -64, 0, "64", 1e300):
                with self.subTest(key=key, value=value):
                    self.setUp()
                    folder = self.copy_hf(config=lambda c: c.update({key: value}))
                    if key == "vocab_size":
                        continue
                    self.refused("run", folder, *RUN)

    def test_unknown_rope_type(self):
        folder = self.copy_hf(config=lambda c: c.update(rope_scaling={"rope_type": "spiral", "factor": 2.0}))
        self.refused("run", folder, *RUN, names=["spiral"])

    def test_missing_tensor(self):
        def edit(header, body):
            header["model.layers.1.mlp.up_proj.other"] = header.pop("model.layers.1.mlp.up_proj.weight")

        self.refused("run", self.copy_hf(tensors=edit), *RUN, names=["model.layers.1.mlp.up_proj.weight"])

    def test_surplus_tensor(self):
        def edit(header, body):
            header["model.layers.1.mystery.weight"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(body), len(body) + 8]}
            body += bytes(8)

        self.refused("run", self.copy_hf(tensors=edit), *RUN, names=["model.layers.1.mystery.weight"])

    def test_unread_key(self):
        folder = self.copy_hf(config=lambda c: c.update(wobble_factor=2.5))
        self.refused("run", folder, *RUN, names=["wobble_factor"])
        self.assertIn("wobble_factor", self.works("run", folder, *RUN, "--allow-unread").stderr)

    def test_keys_that_say_nothing_are_fine(self):
        folder = self.copy_hf(config=lambda c: c.update(wobble_factor=None, wobble=False, wobbles=0, use_cache=False))
        self.works("run", folder, *RUN)

    def test_config_that_is_no_config(self):
        folder = self.copy_hf()
        for text in ("", "{", "[]", "[" * 100000, '{"model_type": 5}', '{"architectures": {}}', "\xff\xfe", '{"a":1,"a":2}'):
            (folder / "config.json").write_text(text, encoding="latin-1")
            with self.subTest(text=text[:20]):
                self.refused("run", folder, *RUN)

    def test_directory_without_a_model(self):
        self.refused("run", self.folder, *RUN)
        self.refused("run", self.folder / "nowhere", *RUN, names=["nowhere"])
        self.refused("run", "/dev/null", *RUN)


class Requests(Case):
    def test_ids_outside_the_vocabulary(self):
        for ids in ("320", "-1", "99999999999999999999", "1,,2", "x", ""):
            with self.subTest(ids=ids):
                self.refused("run", DENSE / "hf", "--tokens", ids, "-n", "1", "--temp", "0", "--ids")
                self.refused("logits", DENSE / "hf", "--tokens", ids, "-o", self.folder / "x.npy")

    def test_longer_than_the_context(self):
        self.refused("run", DENSE / "hf", "--tokens", tokens_of(), "-n", "4", "--temp", "0", "--ids", "--ctx", "16", names=["16"])
        self.refused("logits", DENSE / "hf", "--tokens", tokens_of(), "--ctx", "16", "-o", self.folder / "x.npy", names=["16"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
