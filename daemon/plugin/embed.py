#!/usr/bin/env python3
"""Turns .sql files into a C header.

NNN_name.sql     becomes an entry of `static const struct hr_migration PREFIX_migrations[]`.
any other .sql   holds queries, each after a line `-- name: some_name`, and becomes
                 `static const char sql_some_name[]`.

usage: embed.py PREFIX OUT.h FILE.sql...
"""
import os
import re
import sys


def c_string(text):
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    out = []
    for line in lines:
        line = line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
        out.append('        "%s\\n"' % line)
    return "\n".join(out) if out else '        ""'


def queries(path, text):
    name, body = None, []
    for line in text.split("\n"):
        mark = re.match(r"--\s*name:\s*([a-z_][a-z0-9_]*)\s*$", line)
        if mark:
            if name:
                yield name, "\n".join(body).strip() + "\n"
            name, body = mark.group(1), []
        elif name:
            body.append(line)
        elif line.strip() and not line.startswith("--"):
            sys.exit("%s: text before the first '-- name:' line" % path)
    if name:
        yield name, "\n".join(body).strip() + "\n"


def main():
    prefix, out, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    migrations, parts = [], []
    for path in files:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        base = os.path.basename(path)[: -len(".sql")]
        number = re.match(r"(\d{3})_", base)
        if number:
            migrations.append((int(number.group(1)), base, text))
        else:
            for name, body in queries(path, text):
                parts.append("static const char sql_%s[] __attribute__((unused)) =\n%s;\n"
                             % (name, c_string(body)))
    migrations.sort()
    for i, (version, base, _) in enumerate(migrations):
        if version != i + 1:
            sys.exit("%s: migrations must be numbered 001, 002, ... without a gap" % base)
    with open(out, "w", encoding="utf-8") as f:
        f.write("/* Made by embed.py from the .sql files beside the module. */\n#pragma once\n\n")
        for part in parts:
            f.write(part + "\n")
        if migrations:
            f.write("#include \"headrace/plugin.h\"\n\n")
            f.write("static const struct hr_migration %s_migrations[] = {\n" % prefix)
            for version, base, text in migrations:
                f.write('        { %d, "%s",\n%s },\n' % (version, base, c_string(text)))
            f.write("        { 0, NULL, NULL },\n};\n")


main()
