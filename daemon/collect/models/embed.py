#!/usr/bin/env python3
"""Turns the model files into a C header: `static const struct model_file model_files[]`.

usage: embed.py OUT.h FILE.json...
"""
import json
import sys


def c_string(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("/* Made by models/embed.py from the JSON files beside it. */\n#pragma once\n\n")
        f.write("static const struct model_file model_files[] = {\n")
        for path in sorted(sys.argv[2:]):
            with open(path, encoding="utf-8") as m:
                doc = json.load(m)
            text = json.dumps(doc, separators=(",", ":"), ensure_ascii=True)
            pieces = [c_string(text[i:i + 80]) for i in range(0, len(text), 80)]
            f.write("        { %s, %s, %s, %d,\n          %s },\n" % (
                c_string(doc["model"]), c_string(doc.get("maker", "")), c_string(doc["protocol"]),
                doc.get("digits", 9), "\n          ".join(pieces)))
        f.write("        { 0 },\n};\n")


main()
