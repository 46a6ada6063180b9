"""Prints what tests reach of the library, floor by floor, from `cargo llvm-cov report --json`, and with
`--lines` each line of floors 0 to 4 that they do not reach: coverage.py FILE [--lines].
`--fuzz` says that it is the replay of the fuzzer's seeds alone, which need not reach all."""

import json
import sys

FLOORS = {
    "0 units, errors": ["units", "error", "sync", "available", "seeded"],
    "1 numbers": ["free_list", "stock", "residency", "magazine", "depot", "page_stack", "budget",
                  "page_set", "line", "ask", "cgroup", "handles"],
    "2 memory": ["os", "region", "block", "process_heap"],
    "3 arena": ["arena"],
    "4 manager": ["manager"],
}
BESIDE = {"5 C ABI": ["ffi"], "paging": ["paging"], "operators, sort": ["operators"]}


def module_of(path):
    for package in ("paging", "operators"):
        if f"/{package}/src/" in path:
            return package
    if "/src/" not in path or "/fuzz/" in path:
        return None
    return path.rsplit("/src/", 1)[1].split("/")[0].removesuffix(".rs")


def row(name, files):
    lines = [file["summary"]["lines"] for file in files]
    count, reached = sum(line["count"] for line in lines), sum(line["covered"] for line in lines)
    share = 100 * reached / max(count, 1)
    print(f"| {name} | {count} | {reached} | {share:.1f} % |")
    return share


def unreached(file):
    """The lines with code of which no part was run, before the unit tests."""
    most = {}
    segments = file["segments"]
    for (line, _, count, has_count, _, is_gap), after in zip(segments, segments[1:]):
        if has_count and not is_gap:
            for each in range(line, after[0] + (after[1] > 1)):
                most[each] = max(most.get(each, 0), count)
    with open(file["filename"]) as source:
        text = source.read().splitlines()
    end = next((i for i, line in enumerate(text, 1) if line.startswith("mod tests")), len(text))
    for line in sorted(line for line, count in most.items() if count == 0 and line <= end):
        code = text[line - 1].strip()
        if code.strip("{}();,"):
            yield line, code


def main():
    with open(sys.argv[1]) as file:
        files = json.load(file)["data"][0]["files"]
    def of(modules):
        return [file for file in files if module_of(file["filename"]) in modules]
    print("| floor | lines | reached | |")
    print("|---|---:|---:|---:|")
    for floor, modules in FLOORS.items():
        row(floor, of(modules))
    core = of([module for modules in FLOORS.values() for module in modules])
    share = row("**floors 0 to 4**", core)
    for name, modules in BESIDE.items():
        row(name, of(modules))
    if "--lines" in sys.argv:
        for file in core:
            for line, code in unreached(file):
                print(f"src/{file['filename'].rsplit('/src/', 1)[1]}:{line}: {code}")
    if "--fuzz" not in sys.argv and share < 95:
        sys.exit("floors 0 to 4 are below 95 %")


main()
