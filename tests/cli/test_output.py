#!/usr/bin/env python3
"""Answers taken apart. What a chat template renders for a message is what its model writes: each template that knows tool
calls is rendered with and without an answer, and the difference must give the answer back."""
import itertools
import json
import os
import pathlib
import tempfile
import unittest

from support import tenon

TEMPLATES = pathlib.Path(os.environ["TENON_SOURCE_DIR"]).parent / "shared" / "text" / "templates" / "src"
ENDS = ["</s>", "<|im_end|>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<｜end▁of▁sentence｜>", "<seed:eos>", "<end_of_sentence>",
        "<|end_of_text|>", "<|call|>", "<|return|>", "<|assistant_end|>"]
OPENINGS = ("<think>", "Here are my reasoning steps:")
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object",
          "required": ["city"], "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "opt": {"type": "object"}}}}},
         {"type": "function", "function": {"name": "noop", "description": "n", "parameters": {"type": "object", "properties": {}}}}]
ARGUMENTS = [("get_weather", {"city": 'Zü"rich\nline', "days": 3}), ("noop", {}),
             ("get_weather", {"city": "a</tool_call>b", "opt": {"x": [1, {"y": None}]}}), ("get_weather", {"city": "3", "days": -1})]
CASES = [("one call", [0], "", ""), ("two calls", [0, 1], "", ""), ("content first", [0], "Let me look.", ""),
         ("reasoning first", [3], "", "I should think\n\nhard."), ("a marker in a text", [2], "", ""),
         ("all of it", [3, 1], "Well.", "Hmm."), ("no call", [], "Just text.\nMore [x] {y}.", ""), ("reasoning", [], "Text.", "Thought.")]
# Values are written without quoting, or as Python: a closing marker within one ends it, an object is no JSON.
PLAIN = ("<arg_value>", "<parameter=")


class Output(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "tools").write_text(json.dumps(TOOLS))

    def render(self, template, messages, opened):
        context = {"messages": messages, "tools": TOOLS, "add_generation_prompt": opened, "bos_token": "<s>", "eos_token": "</s>",
                   "pad_token": "<pad>", "unk_token": "<unk>"}
        (self.folder / "context").write_text(json.dumps(context))
        done = tenon("render", "--template", template, "--context", self.folder / "context", "--now", "2026-11-23 12:00:00")
        return done.stdout.decode() if done.status == 0 else None

    def parse(self, template, prompt, text):
        (self.folder / "prompt").write_text(prompt)
        (self.folder / "text").write_text(text)
        done = tenon("parse", "--template", template, "--text", self.folder / "text", "--tools", self.folder / "tools",
                     "--prompt", self.folder / "prompt")
        self.assertEqual(done.status, 0, done.stderr)
        return json.loads(done.stdout)

    @staticmethod
    def difference(prompt, whole, reasoning):
        """The prompt of the answer, and the answer up to its end."""
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole)))
        opened = prompt.rstrip().endswith(OPENINGS) and reasoning and reasoning in whole
        if same < len(prompt) and not opened:  # they part within a marker
            marker = max(whole.rfind(c, 0, same) for c in "<[")
            if marker >= 0 and not set(">]") & set(whole[marker:same]):
                same = marker
            prompt = whole[:same]
        text = whole[same:]
        ends = [at for at in (text.find(end) for end in ENDS) if at >= 0]
        return prompt, text[:min(ends)] if ends else text

    def check(self, template, case):
        what, calls, content, reasoning = case
        wanted = [ARGUMENTS[i] for i in calls]
        answer = {"role": "assistant", "content": content}
        if wanted:
            answer["tool_calls"] = [{"id": f"abcdefgh{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
                                    for i, (name, arguments) in enumerate(wanted)]
        if reasoning:
            answer["reasoning_content"] = reasoning
        question = [{"role": "user", "content": "hi"}]
        prompt, whole = self.render(template, question, True), self.render(template, question + [answer], False)
        if prompt is None or whole is None:
            return 0  # the template refuses it
        prompt, text = self.difference(prompt, whole, reasoning)
        got = self.parse(template, prompt, text)
        place = (template.name, what, text)
        if what == "a marker in a text" and any(marker in text for marker in PLAIN):
            return 0
        # What a template leaves out is not there to be found.
        found = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in got.get("tool_calls", [])]
        self.assertEqual(found, [call for call in wanted if call[0] in text], place)
        texts = (got["content"] or "") + "\n" + got.get("reasoning_content", "")  # some put content among the reasoning
        if content in text:
            self.assertIn(content, texts, place)
        if reasoning and reasoning in text:
            self.assertEqual(got.get("reasoning_content"), reasoning, place)
        for marker in ("<tool_call", "[TOOL_CALLS]", "think>", "<|channel|>", "<function", "｜tool", "DSML"):
            self.assertNotIn(marker, texts.replace("a</tool_call>b", ""), place)
        return 1

    @unittest.skipUnless(TEMPLATES.exists(), "the shared templates are not here")
    def test_answers_come_back(self):
        checked = 0
        for template in sorted(TEMPLATES.glob("*.jinja")):
            if "tool_calls" not in template.read_text():
                continue
            for case in CASES:
                with self.subTest(template=template.name, case=case[0]):
                    checked += self.check(template, case)
        print(f"{checked} answers of templates")
        self.assertGreater(checked, 100)

    def test_bad_usage(self):
        self.assertEqual(tenon("parse", "--text", "x").status, 2)


if __name__ == "__main__":
    unittest.main()
