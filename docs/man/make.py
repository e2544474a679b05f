#!/usr/bin/env python3
"""Manual pages from the same tables the programs use: make.py OUT_DIR HEADRACED HEADRACE HEADRACE_SIM

OUT_DIR `--install` puts them where the build installs to, `--check` only proves that they can be made whole."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout.decode()


def esc(text):
    """Text as troff: backslashes and leading dots are harmless."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def page(out, name, section, summary, body):
    with open(os.path.join(out, "%s.%d" % (name, section)), "w", encoding="utf-8") as f:
        f.write('.TH %s %d "" "Headrace" "Headrace manual"\n.SH NAME\n%s \\- %s\n%s' %
                (name.upper(), section, esc(name), esc(summary), body))


def usage_body(text):
    return ".SH SYNOPSIS\n.nf\n%s\n.fi\n" % esc(text.strip())


def config_body(text):
    body = [".SH DESCRIPTION\nSections and keys, each with its default. Lines are \\fIkey = value\\fR; # begins a comment. "
            "Files in \\fIconf.d/*.conf\\fR beside the file are read after it, by name.\n"]
    comment = ""
    for line in text.splitlines():
        section, key = re.match(r"\[(.+)\]$", line), re.match(r"#?([a-z_0-9]+) = ?(.*)$", line)
        if section:
            body.append(".SH [%s]\n%s\n" % (esc(section.group(1)), esc(comment)))
        elif key and not line.startswith("# "):
            default = " Default: %s." % esc(key.group(2)) if key.group(2) else ""
            body.append(".TP\n.B %s\n%s%s\n" % (esc(key.group(1)), esc(comment), default))
        elif line.startswith("# "):
            comment = line[2:]
    return "".join(body)


def operations_body(operations):
    body = [".SH COMMANDS\n"]
    for op in operations:
        if not op.get("cli"):
            continue
        body.append(".TP\n.B headrace %s\n%s. Needs permission %s.\n" % (esc(op["cli"]), esc(op["summary"]),
                                                                       esc(op.get("permission") or "none")))
        for p in op.get("params", []):
            body.append(".br\n\\-\\-%s: %s%s\n" % (esc(p["name"]), esc(p.get("help") or ""),
                                                  " (required)" if p.get("required") else ""))
    return "".join(body)


def make(out, headraced, headrace, sim):
    os.makedirs(out, exist_ok=True)
    page(out, "headraced", 8, "smart-meter head-end and billing daemon", usage_body(run(headraced, "--help")) +
         ".SH SIGNALS\n.TP\nSIGTERM\nends cleanly.\n.TP\nSIGHUP\nreads the configuration again.\n"
         ".SH SEE ALSO\n.BR headrace.conf (5), .BR headrace (1)\n")
    page(out, "headrace.conf", 5, "configuration of headraced", config_body(run(headraced, "--help-config")))
    table = json.loads(run(headraced, "--help-operations"))
    page(out, "headrace", 1, "command line of Headrace", usage_body(run(headrace, "--help")) +
         operations_body(table["operations"]) +
         ".SH EXIT STATUS\n0 done, 1 refused or failed, 2 wrong usage, 3 no daemon, 4 not allowed.\n")
    page(out, "headrace-sim", 1, "simulated meters", usage_body(run(sim, "--help")))
    return table["operations"]


def install(out, programs):
    """man1/x.1 ... below the prefix."""
    with tempfile.TemporaryDirectory() as d:
        make(d, *programs)
        for name in sorted(os.listdir(d)):
            to = os.path.join(out, "man" + name[-1])
            os.makedirs(to, exist_ok=True)
            shutil.copy(os.path.join(d, name), to)


def check(programs):
    with tempfile.TemporaryDirectory() as d:
        operations = make(d, *programs)
        with open(os.path.join(d, "headrace.1"), encoding="utf-8") as f:
            text = f.read()
        missing = [o["cli"] for o in operations if o.get("cli") and esc("headrace " + o["cli"]) not in text]
        nameless = [o["name"] for o in operations if not o.get("summary")]
        with open(os.path.join(d, "headrace.conf.5"), encoding="utf-8") as f:
            keys = f.read().count(".TP")
        print("%d operations, %d configuration keys; not in the page: %s; without a summary: %s" %
              (len(operations), keys, missing, nameless))
        return 1 if missing or nameless or len(operations) < 50 or keys < 20 else 0


def main():
    out, programs = sys.argv[1], sys.argv[2:]
    if out == "--check":
        sys.exit(check(programs))
    if out == "--install":
        install(os.path.join(os.environ["MESON_INSTALL_DESTDIR_PREFIX"], "share", "man"), programs)
    else:
        make(out, *programs)


main()
