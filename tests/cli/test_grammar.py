#!/usr/bin/env python3
"""tenon grammar and the constraints of tenon run: the shared schemas, bad usage, and texts that models write."""
import json
import os
import pathlib
import re
import tempfile
import unittest

import support

SHARED = pathlib.Path(os.environ["TENON_SOURCE_DIR"]).parent / "shared" / "text"
PERSON = {"type": "object", "required": ["name", "age"], "additionalProperties": False,
          "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}}


def tenon(*arguments):
    done = support.tenon(*arguments)
    if isinstance(done.stdout, bytes):
        done.stdout = done.stdout.decode()
    return done


class Grammar(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def check(self, text, *flags):
        return tenon("grammar", "check", "--text", self.file("text", text), *flags)

    def expect(self, done, status, out):
        self.assertEqual((done.status, done.stdout), (status, out), done.stderr)

    def test_check_says_where(self):
        schema = self.file("schema.json", json.dumps(PERSON))
        self.expect(self.check('{"name":"x","age":15}', "--json-schema", schema), 0, "accept\n")
        self.expect(self.check('{"name":"x","age":151}', "--json-schema", schema), 1, "reject at byte 20\n")
        self.expect(self.check('{"name":"x"', "--json-schema", schema), 1, "reject at byte 11\n")
        self.expect(self.check("ab12", "--regex", "[a-z]+[0-9]+"), 0, "accept\n")
        self.expect(self.check("no", "--choice", "yes", "--choice", "no"), 0, "accept\n")
        self.expect(self.check("((x))", "--grammar", self.file("g", 'root ::= "x" | "(" root ")"')), 0, "accept\n")
        self.expect(self.check("[]", "--json-object"), 1, "reject at byte 0\n")
        self.expect(self.check("ab", "--regex", "a", "--json"), 1, '{"accept":false,"byte":1}\n')

    def test_what_cannot_be_enforced_is_bad_usage_and_named(self):
        for flag, content, named in [("--json-schema", '{"type":"array","uniqueItems":true}', "uniqueItems"),
                                     ("--json-schema", '{"properties":{"a":{"typ":1}}}', "#/properties/a: keyword 'typ'"),
                                     ("--json-schema", "{", "schema"),
                                     ("--grammar", "root ::= item", "line 1, column 10")]:
            done = self.check("x", flag, self.file("schema", content))
            self.assertEqual((done.status, done.stdout), (2, ""), content)
            self.assertIn(named, done.stderr)
        done = self.check("x", "--regex", r"(a)\1")
        self.assertEqual(done.status, 2)
        self.assertIn("back-reference", done.stderr)
        self.assertEqual(self.check("x").status, 2)
        self.assertEqual(self.check("x", "--regex", "x", "--choice", "x").status, 2)
        self.assertEqual(self.check("x", "--grammar", str(self.folder / "absent")).status, 1)

    @unittest.skipUnless(SHARED.exists(), "the shared schemas are not here")
    def test_shared_schemas(self):
        refused = []
        for line in (SHARED / "schemas.jsonl").read_text().splitlines()[::5]:  # all of them: unit_text
            case = json.loads(line)
            schema = self.file("schema.json", json.dumps(case["schema"]))
            for kind, status in (("valid_text", 0), ("invalid_text", 1)):
                for text in case[kind]:
                    done = self.check(text, "--json-schema", schema)
                    if done.status == 2:
                        refused.append(case["id"])
                    else:
                        self.assertEqual(done.status, status, (case["schema"], text, done.stdout))
        self.assertLessEqual(len(set(refused)), 3, refused)

    @unittest.skipUnless(SHARED.exists(), "the shared vocabularies are not here")
    def test_samples_are_accepted(self):
        vocabulary = str(SHARED / "vocab" / "ggml-vocab-gpt-2.gguf")
        schema = self.file("schema.json", json.dumps(PERSON))
        done = tenon("grammar", "sample", vocabulary, "--json-schema", schema, "--n", "20", "--seed", "3")
        self.assertEqual(done.status, 0, done.stderr)
        texts = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(set(texts)), 20)
        for text in texts:
            person = json.loads(text)
            self.assertEqual(sorted(person), ["age", "name"])
            self.assertTrue(0 <= person["age"] <= 150 and len(person["name"]) <= 20)
        again = tenon("grammar", "sample", vocabulary, "--json-schema", schema, "--n", "20", "--seed", "3")
        self.assertEqual(again.stdout, done.stdout)

    def test_run_writes_what_it_may(self):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tenon" / "models"
        model = next(iter(sorted(cache.glob("*.gguf"))), None)
        if model is None:
            self.skipTest(f"no model with a vocabulary in {cache}")
        run = ["run", str(model), "-p", "Name a person.", "--temp", "1", "--seed", "5", "-n", "60"]
        done = tenon(*run, "--regex", "[0-9]{3}-[a-z]{2}")
        self.assertEqual(done.status, 0, done.stderr)
        self.assertRegex(done.stdout, re.compile(r"^[0-9]{3}-[a-z]{2}$"))
        done = tenon(*run, "--json-schema", self.file("schema.json", json.dumps(PERSON)), "--json")
        answer = json.loads(done.stdout)
        if answer["finish_reason"] == "stop":
            self.assertEqual(sorted(json.loads(answer["text"])), ["age", "name"])
        self.assertEqual(tenon(*run, "--choice", "a", "--regex", "a").status, 2)


if __name__ == "__main__":
    unittest.main()
