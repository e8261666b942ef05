"""Checkpoints taken apart and put together again, with nothing but the standard library: what the tests that rewrite
files share. Tensors keep their stored bytes; shapes are row-major in both formats."""
import json
import math
import pathlib
import shutil
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
F32, F16, BF16 = 0, 1, 30


class Gguf:
    """A GGUF v3 file: `kv` key -> (type, value), `tensors` name -> [dims, type, offset], the data's bytes; keys, names
    and texts are bytes, dims innermost first, as the file has them."""

    def __init__(self, path):
        self.raw, self.at = path.read_bytes(), 8
        n_tensors, n_kv = self.take("Q"), self.take("Q")
        self.kv, self.tensors = {}, {}
        for _ in range(n_kv):
            key, kind = self.text(), self.take("I")
            self.kv[key] = (kind, self.value(kind))
        for _ in range(n_tensors):
            name = self.text()
            dims = [self.take("Q") for _ in range(self.take("I"))]
            self.tensors[name] = [dims, self.take("I"), self.take("Q")]
        self.data = self.raw[(self.at + 31) // 32 * 32:]

    def take(self, code):
        value = struct.unpack_from("<" + code, self.raw, self.at)[0]
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        size = self.take("Q")
        self.at += size
        return self.raw[self.at - size:self.at]

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            element, count = self.take("I"), self.take("Q")
            return element, [self.value(element) for _ in range(count)]
        return self.take(SCALARS[kind])

    def write(self, path):
        def text(b):
            return struct.pack("<Q", len(b)) + b

        def value(kind, v):
            if kind == TEXT:
                return text(v)
            if kind == LIST:
                return struct.pack("<IQ", v[0], len(v[1])) + b"".join(value(v[0], x) for x in v[1])
            return struct.pack("<" + SCALARS[kind], v)

        out = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.kv))
        for key, (kind, v) in self.kv.items():
            out += text(key) + struct.pack("<I", kind) + value(kind, v)
        for name, (dims, kind, offset) in self.tensors.items():
            out += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        out += b"\0" * (-len(out) % 32)
        path.write_bytes(out + self.data)

    def set(self, key, kind, value):
        self.kv[key.encode()] = (kind, value)

    def architecture(self):
        return self.kv[b"general.architecture"][1].decode()


class Folder:
    """A model directory: `config` and `tensors` name -> [dtype, shape, bytes], of all files together."""

    def __init__(self, path):
        self.path = path
        self.config = json.loads((path / "config.json").read_text())
        self.tensors = {}
        for file in sorted(path.glob("*.safetensors")):
            self.tensors.update(read_safetensors(file))

    def write(self, path, shards=1):
        """The folder's other files are copied; more than one shard brings the index that names them."""
        path.mkdir(parents=True)
        for file in self.path.iterdir():
            if file.is_file() and ".safetensors" not in file.name and file.name != "config.json":
                shutil.copy(file, path)
            elif file.is_dir():
                shutil.copytree(file, path / file.name)
        (path / "config.json").write_text(json.dumps(self.config))
        if shards == 1:
            return write_safetensors(path / "model.safetensors", self.tensors)
        names, where = list(self.tensors), {}
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            part = names[i::shards]
            write_safetensors(path / file, {n: self.tensors[n] for n in part})
            where.update(dict.fromkeys(part, file))
        size = sum(len(t[2]) for t in self.tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": where}
        (path / "model.safetensors.index.json").write_text(json.dumps(index))


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: [t["dtype"], t["shape"], data[start + t["data_offsets"][0]:start + t["data_offsets"][1]]]
            for name, t in header.items()}


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def edit_safetensors(path, edit):
    """`edit(header, body)` changes a file's header as it is, offsets included."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    body = bytearray(data[8 + size:])
    edit(header, body)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


class Table:
    """A GGUF as a table of tensors, like Folder: `tensors` name -> [type, shape, bytes], `kv` as in Gguf. Written with
    fresh offsets. Bytes of types in blocks may end with the padding behind them."""

    WIDTH = {F32: 4, F16: 2, BF16: 2}

    def __init__(self, path):
        self.file = Gguf(path)
        self.kv = self.file.kv
        self.tensors = {}
        begins = sorted(t[2] for t in self.file.tensors.values())
        ends = dict(zip(begins, [*begins[1:], len(self.file.data)]))
        for name, (dims, kind, offset) in self.file.tensors.items():
            end = offset + math.prod(dims) * self.WIDTH[kind] if kind in self.WIDTH else ends[offset]
            self.tensors[name.decode()] = [kind, dims[::-1], self.file.data[offset:end]]

    def write(self, path):
        data, table = bytearray(), {}
        for name, (kind, shape, payload) in self.tensors.items():
            table[name.encode()] = [shape[::-1], kind, len(data)]
            data += payload + bytes(-len(payload) % 32)
        self.file.tensors, self.file.data = table, bytes(data)
        self.file.write(path)

    def set(self, key, kind, value):
        self.kv[key.encode()] = (kind, value)

    def architecture(self):
        return self.file.architecture()


def open_row(row, fmt):
    """The row's own checkpoint of that format as a Folder or a Table."""
    return Folder(row / "hf") if fmt == "hf" else Table(row / "model.gguf")


def formats(row):
    return [f for f, path in (("hf", row / "hf"), ("gguf", row / "model.gguf")) if path.exists()]


def own_rows(golden=pathlib.Path(__file__).parent):
    return sorted(p.parent for p in golden.glob("*/rows.txt"))
