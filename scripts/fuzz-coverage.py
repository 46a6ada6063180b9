"""Prints the lines that a replay of the fuzz corpora reaches, floor by floor, from the summary of
`cargo llvm-cov --json --summary-only`: fuzz-coverage.py FILE"""

import json
import sys

FLOORS = {
    "0 units, errors": ["units", "error", "sync", "available"],
    "1 numbers": ["free_list", "stock", "residency", "magazine", "depot", "page_stack", "budget",
                  "page_set", "line", "ask", "cgroup", "handles"],
    "2 memory": ["os", "region", "block", "process_heap"],
    "3 arena": ["arena"],
    "4 manager": ["manager"],
    "5 C ABI": ["ffi"],
    "operators, sort": ["operators"],
}


def module_of(path):
    if "/operators/src/" in path:
        return "operators"
    if "/src/" not in path or "/fuzz/" in path:
        return None
    return path.rsplit("/src/", 1)[1].split("/")[0].removesuffix(".rs")


def main():
    with open(sys.argv[1]) as file:
        files = json.load(file)["data"][0]["files"]
    print("| floor | lines | reached | |")
    print("|---|---:|---:|---:|")
    for floor, modules in FLOORS.items():
        lines = [f["summary"]["lines"] for f in files if module_of(f["filename"]) in modules]
        count, covered = sum(l["count"] for l in lines), sum(l["covered"] for l in lines)
        share = 100 * covered / count if count else 0
        print(f"| {floor} | {count} | {covered} | {share:.0f} % |")


main()
