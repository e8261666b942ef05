"""What the command-line tests share: running tenon, and editing copies of the golden row's files.

Environment: TENON (the binary), TENON_PLUGINS (the built plugins' directory), TENON_SOURCE_DIR."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

TENON = os.environ["TENON"]
PLUGINS = pathlib.Path(os.environ["TENON_PLUGINS"])
GOLDEN = pathlib.Path(os.environ["TENON_SOURCE_DIR"]) / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))
from checkpoints import Gguf, edit_safetensors  # noqa: E402

DENSE = GOLDEN / "llama"
EXPERTS = GOLDEN / "mixtral"
ENCODER = GOLDEN / "modernbert"


class Done:
    def __init__(self, args, process):
        self.args, self.status = args, process.returncode
        self.stdout, self.stderr = process.stdout, process.stderr.decode(errors="replace")

    def json(self):
        return json.loads(self.stdout)


def tenon(*args, stdin=b"", env=None, timeout=120):
    args = [str(a) for a in args]
    return Done(args, subprocess.run([TENON, *args], input=stdin, capture_output=True, timeout=timeout,
                                     env={**os.environ, **(env or {})}))


class Case(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)

    def works(self, *args, **options):
        done = tenon(*args, **options)
        self.assertEqual(done.status, 0, f"{done.args}\n{done.stderr}")
        return done

    def refused(self, *args, names=(), status=(1, 2), **options):
        """The command fails with one clear line on stderr that holds every string of `names`, and with no crash."""
        done = tenon(*args, **options)
        self.assertIn(done.status, status, f"{done.args}\n{done.stderr}")
        lines = done.stderr.strip().splitlines()
        errors = [line for line in lines if line.startswith("tenon: error: ")]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertEqual(lines[-1], errors[0])
        for name in names:
            self.assertIn(name, errors[0])
        return done

    def copy_hf(self, row=DENSE, config=None, tensors=None):
        """A copy of the row's model directory; `config` edits config.json in place, `tensors` the safetensors header."""
        folder = self.folder / "hf"
        shutil.copytree(row / "hf", folder)
        if config:
            values = json.loads((folder / "config.json").read_text())
            config(values)
            (folder / "config.json").write_text(json.dumps(values))
        if tensors:
            edit_safetensors(folder / "model.safetensors", tensors)
        return folder

    def copy_gguf(self, edit, row=DENSE):
        gguf = Gguf(row / "model.gguf")
        edit(gguf)
        path = self.folder / "model.gguf"
        gguf.write(path)
        return path


def read_npy(path):
    """(shape, values) of a float32 .npy file in C order, without numpy."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    size = struct.unpack_from("<H", data, 8)[0]
    header = eval(data[10:10 + size], {"__builtins__": {}})
    assert header["descr"] == "<f4" and not header["fortran_order"]
    body = data[10 + size:]
    return header["shape"], struct.unpack(f"<{len(body) // 4}f", body)


def tokens_of(row=DENSE):
    return ",".join(map(str, json.loads((row / "tokens.json").read_text())["tokens"]))


def greedy_of(row=DENSE):
    return json.loads((row / "greedy.json").read_text())
