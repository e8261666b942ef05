#!/usr/bin/env python3
"""Random output under the shared JSON Schemas must parse and fulfil them: tokens are drawn evenly among the allowed
ones (tenon grammar sample), the jsonschema package judges. Prints the counts and what failed; status 1 when anything
did. Not part of the tests: it installs packages into the cache at the first call.

  tools/check_constrained.py [-n 10] [--seed 1] [--schemas FILE] [--tenon build/bin/tenon] [VOCABULARY ...]"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from pip_env import rerun_with

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ["jsonschema[format-nongpl]==4.26.0"]
VOCABULARIES = {"qwen2": ["--pre", "qwen2"], "smollm2": []}


def members(pairs):
    """An object whose members are all different, which json.loads does not ask for."""
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError("a member twice")
    return out


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def fault(validator, text):
    """What is wrong with a text; nothing for a good one."""
    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=refuse_constant)
    except ValueError as e:
        return f"{e}"
    error = next(validator.iter_errors(value), None)
    return error and f"{error.validator} at {error.json_path}: {error.message[:100]}"


def check(tenon, path, flags, case, options):
    """Number of samples of one schema, the incomplete ones among them, and the faults of the others; None: refused."""
    from jsonschema import Draft202012Validator
    validator = Draft202012Validator(case["schema"], format_checker=Draft202012Validator.FORMAT_CHECKER)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as schema:
        json.dump(case["schema"], schema)
        schema.flush()
        done = subprocess.run([tenon, "grammar", "sample", path, *flags, "--json-schema", schema.name, "--json", "--n",
                               str(options.n), "--seed", str(options.seed)], capture_output=True, text=True)
    if done.returncode == 2:
        return None
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if len(lines) != options.n:
        sys.exit(f"check_constrained.py: error: {case['id']}: {done.stderr.strip()}")
    faults = [(fault(validator, line["text"]), line["text"]) for line in lines if line["complete"]]
    return len(lines), len(lines) - len(faults), [(why, text) for why, text in faults if why]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10, help="samples of each schema")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schemas", type=pathlib.Path, default=ROOT.parent / "shared" / "text" / "schemas.jsonl")
    parser.add_argument("--tenon", default=ROOT / "build" / "bin" / "tenon")
    parser.add_argument("vocabulary", nargs="*", metavar="VOCABULARY")
    options = parser.parse_args()
    names = options.vocabulary or list(VOCABULARIES)
    fetch = [ROOT / "tools" / "fetch_vocabularies", *names]
    done = subprocess.run(fetch, stdout=subprocess.PIPE, text=True, check=True)
    paths = dict(line.split("\t") for line in done.stdout.splitlines())
    cases = [json.loads(line) for line in options.schemas.read_text().splitlines()]
    status = 0
    for name in names:
        drawn, incomplete, wrong, refused = 0, 0, 0, []
        for case in cases:
            result = check(options.tenon, paths[name], VOCABULARIES.get(name, []), case, options)
            if result is None:
                refused.append(case["id"])
                continue
            drawn, incomplete, wrong = drawn + result[0], incomplete + result[1], wrong + len(result[2])
            for why, text in result[2]:
                print(f"{case['id']} ({case['name']}): {why}: {text[:200]!r}")
        print(f"{name}: {drawn} samples of {len(cases) - len(refused)} schemas, {drawn - incomplete - wrong} fulfil "
              f"theirs, {wrong} do not, {incomplete} without an end; refused schemas: {', '.join(refused) or 'none'}",
              flush=True)
        status |= wrong > 0 or incomplete > 0
    return status


if __name__ == "__main__":
    rerun_with("check-constrained", *PACKAGES)
    sys.exit(main())
