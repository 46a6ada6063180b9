"""Writes the public surface of a crate as one item a line: scripts/api.py RUSTDOC_JSON.

Every public item stands under the shortest path by which others reach it, with its whole signature. What a type
implements stands below it, `Send`, `Sync` and the other automatic traits included; blanket implementations of
others are left out, and so is what the documentation hides. scripts/api.sh runs this.
"""

import json
import sys

# What this script was written for. A new compiler may bring another: look at its notes, and at the output.
FORMATS = {57}
# Names that need no path.
PRELUDE = set(
    "AsMut AsRef Box Clone Copy Default Drop Eq Extend Fn FnMut FnOnce From Into IntoIterator Iterator Option Ord "
    "PartialEq PartialOrd Result Send Sized String Sync ToOwned ToString TryFrom TryInto Unpin Vec".split()
)
# Implemented by the compiler, and of no use to a caller.
UNSEEN_TRAITS = {"Freeze", "StructuralPartialEq", "UnsafeUnpin"}


class Surface:
    def __init__(self, data):
        self.index = data["index"]
        self.paths = data["paths"]
        self.public = {}  # id of an item: its shortest public path
        self.lines = set()
        root = self.index[str(data["root"])]
        self.reach(root, root["name"])
        for key, path in self.public.items():
            self.item(self.index[key], path)
        for item in self.index.values():
            if kind(item) == "impl" and item["crate_id"] == 0:
                self.implementation(item["inner"]["impl"])

    # Which items are public, and where.

    def reach(self, item, path):
        key = str(item["id"])
        known = self.public.get(key)
        if known is not None and (known.count("::"), known) <= (path.count("::"), path):
            return
        self.public[key] = path
        if kind(item) == "module":
            for child in item["inner"]["module"]["items"]:
                self.reach_child(self.index.get(str(child)), path)

    def reach_child(self, item, path):
        if item is None or item["visibility"] != "public":
            return
        if kind(item) != "use":
            self.reach(item, f"{path}::{item['name']}")
            return
        use = item["inner"]["use"]
        target = self.index.get(str(use["id"]))
        if target is None:  # an item of another crate
            self.lines.add(f"pub use {path}::{use['name']} = {use['source']}")
        elif not use["is_glob"]:
            self.reach(target, f"{path}::{use['name']}")
        elif kind(target) == "module":
            for child in target["inner"]["module"]["items"]:
                self.reach_child(self.index.get(str(child)), path)
        else:  # the variants of an enum
            self.lines.add(f"pub use {path}::* = {use['source']}::*")

    # Items.

    def item(self, item, path):
        what = kind(item)
        inner = item["inner"][what]
        marks = self.marks(item)
        if what == "module":
            self.lines.add(f"{marks}pub mod {path}")
        elif what in ("struct", "union"):
            self.structure(item, inner, path, marks)
        elif what == "enum":
            self.lines.add(f"{marks}pub enum {path}{self.generics(inner)}{self.where(inner)}")
            for variant in inner["variants"]:
                self.variant(self.index[str(variant)], path)
        elif what == "trait":
            unsafe = "unsafe " if inner["is_unsafe"] else ""
            bounds = self.bounds(inner["bounds"], ": ")
            generics, where = self.generics(inner), self.where(inner)
            closed = "" if inner["is_dyn_compatible"] else " (not dyn)"
            self.lines.add(f"{marks}pub {unsafe}trait {path}{generics}{bounds}{where}{closed}")
            self.members(inner["items"], path, True)
        elif what == "function":
            self.lines.add(marks + self.function(inner, path))
        elif what == "type_alias":
            target = self.type(inner["type"])
            self.lines.add(f"{marks}pub type {path}{self.generics(inner)} = {target}")
        elif what == "constant":
            self.lines.add(f"{marks}pub const {path}: {self.type(inner['type'])}")
        elif what == "static":
            mutable = "mut " if inner["is_mutable"] else ""
            self.lines.add(f"{marks}pub static {mutable}{path}: {self.type(inner['type'])}")
        else:
            self.lines.add(f"{marks}pub {what} {path}")

    def structure(self, item, inner, path, marks):
        shape = inner.get("kind", {"plain": inner})
        head = f"{marks}pub {kind(item)} {path}{self.generics(inner)}"
        if shape == "unit":
            self.lines.add(f"{head}{self.where(inner)};")
        elif "tuple" in shape:
            fields = ", ".join(self.tuple_field(field) for field in shape["tuple"])
            self.lines.add(f"{head}({fields}){self.where(inner)}")
        else:
            hidden = " (with private fields)" if shape["plain"]["has_stripped_fields"] else ""
            self.lines.add(f"{head}{self.where(inner)}{hidden}")
            self.fields(shape["plain"]["fields"], path)

    def variant(self, item, path):
        path = f"{path}::{item['name']}"
        shape, marks = item["inner"]["variant"]["kind"], self.marks(item)
        discriminant = item["inner"]["variant"]["discriminant"]
        value = f" = {discriminant['value']}" if discriminant else ""
        if shape == "plain":
            self.lines.add(f"{marks}{path}{value}")
        elif "tuple" in shape:
            fields = ", ".join(self.tuple_field(field) for field in shape["tuple"])
            self.lines.add(f"{marks}{path}({fields}){value}")
        else:
            self.lines.add(f"{marks}{path} {{..}}{value}")
            self.fields(shape["struct"]["fields"], path)

    def tuple_field(self, key):
        field = self.index.get(str(key)) if key is not None else None
        return self.type(field["inner"]["struct_field"]) if field else "_"

    def fields(self, keys, path):
        for field in (self.index[str(key)] for key in keys):
            of_type = self.type(field["inner"]["struct_field"])
            self.lines.add(f"{self.marks(field)}pub {path}::{field['name']}: {of_type}")

    def members(self, keys, path, of_trait):
        """Methods, constants and types of a trait or of an inherent implementation."""
        for item in (self.index.get(str(key)) for key in keys):
            if item is None or not (of_trait or item["visibility"] == "public"):
                continue
            what, name = kind(item), f"{path}::{item['name']}"
            inner, marks = item["inner"][what], self.marks(item)
            if what == "function":
                given = " {..}" if of_trait and inner["has_body"] else ""
                self.lines.add(marks + self.function(inner, name) + given)
            elif what == "assoc_const":
                given = " = .." if of_trait and inner["value"] is not None else ""
                self.lines.add(f"{marks}pub const {name}: {self.type(inner['type'])}{given}")
            elif what == "assoc_type":
                given = f" = {self.type(inner['type'])}" if inner["type"] else ""
                self.lines.add(f"{marks}pub type {name}{self.bounds(inner['bounds'], ': ')}{given}")

    def implementation(self, inner):
        trait = inner["trait"]
        to = inner["for"].get("resolved_path")
        local = to and self.is_local(to["id"])
        if inner["blanket_impl"] or local and str(to["id"]) not in self.public:
            return
        if trait is None:
            if local:
                self.members(inner["items"], self.public[str(to["id"])], False)
            return
        is_private = self.is_local(trait["id"]) and str(trait["id"]) not in self.public
        if is_private or last_name(trait["path"]) in UNSEEN_TRAITS:
            return
        negative = "!" if inner["is_negative"] else ""
        head = f"impl{self.generics(inner)} {negative}{self.path(trait)} for {self.type(inner['for'])}"
        self.lines.add(head + self.where(inner))
        for item in (self.index.get(str(key)) for key in inner["items"]):
            if item is not None and kind(item) == "assoc_type":
                of_type = self.type(item["inner"]["assoc_type"]["type"])
                self.lines.add(f"{head}: {item['name']} = {of_type}")

    def marks(self, item):
        marks = ""
        for attribute in item["attrs"]:
            if attribute == "non_exhaustive":
                marks += "#[non_exhaustive] "
            elif isinstance(attribute, dict) and "repr" in attribute:
                marks += f"#[repr({attribute['repr']['kind']})] "
        return marks + ("#[deprecated] " if item["deprecation"] else "")

    # Signatures.

    def function(self, inner, path):
        header, sig = inner["header"], inner["sig"]
        words = [word for word in ("const", "async", "unsafe") if header[f"is_{word}"]]
        if header["abi"] != "Rust":
            words.append(f'extern "{abi(header["abi"])}"')
        inputs = ", ".join(self.input(name, of_type) for name, of_type in sig["inputs"])
        output = f" -> {self.type(sig['output'])}" if sig["output"] else ""
        words = "".join(f"{word} " for word in words)
        return f"pub {words}fn {path}{self.generics(inner)}({inputs}){output}{self.where(inner)}"

    def input(self, name, of_type):
        if name != "self":
            return f"{name}: {self.type(of_type)}"
        reference = of_type.get("borrowed_ref")
        if of_type == {"generic": "Self"}:
            return "self"
        if reference and reference["type"] == {"generic": "Self"}:
            lifetime = f"{reference['lifetime']} " if reference["lifetime"] else ""
            return f"&{lifetime}{'mut ' if reference['is_mutable'] else ''}self"
        return f"self: {self.type(of_type)}"

    def generics(self, inner):
        params = [self.param(param) for param in inner["generics"]["params"]]
        params = [param for param in params if param]
        return f"<{', '.join(params)}>" if params else ""

    def param(self, param):
        what, inner = next(iter(param["kind"].items()))
        if what == "lifetime":
            outlives = inner["outlives"]
            return param["name"] + (f": {' + '.join(outlives)}" if outlives else "")
        if what == "const":
            return f"const {param['name']}: {self.type(inner['type'])}"
        if inner["is_synthetic"]:  # written as `impl Trait` where the argument is
            return None
        default = f" = {self.type(inner['default'])}" if inner["default"] else ""
        return param["name"] + self.bounds(inner["bounds"], ": ") + default

    def where(self, inner):
        rules = []
        for predicate in inner["generics"]["where_predicates"]:
            what, rule = next(iter(predicate.items()))
            if what == "bound_predicate":
                rules.append(self.type(rule["type"]) + self.bounds(rule["bounds"], ": "))
            elif what == "lifetime_predicate":
                rules.append(f"{rule['lifetime']}: {' + '.join(rule['outlives'])}")
            else:
                rules.append(f"{self.type(rule['lhs'])} == {self.term(rule['rhs'])}")
        return f" where {', '.join(rules)}" if rules else ""

    def bounds(self, bounds, before):
        texts = []
        for bound in bounds:
            what, inner = next(iter(bound.items()))
            if what == "outlives":
                texts.append(inner)
            elif what == "use":
                captured = [next(iter(arg.values())) for arg in inner]
                texts.append(f"use<{', '.join(captured)}>")
            else:
                mark = {"maybe": "?", "none": "", "maybe_const": "[const] "}[inner["modifier"]]
                texts.append(mark + self.higher(inner["generic_params"]) + self.path(inner["trait"]))
        return before + " + ".join(texts) if texts else ""

    def higher(self, params):
        return f"for<{', '.join(self.param(param) for param in params)}> " if params else ""

    def type(self, of_type):
        what, inner = next(iter(of_type.items()))
        if what == "resolved_path":
            return self.path(inner)
        if what in ("generic", "primitive"):
            return inner
        if what == "infer":
            return "_"
        if what == "tuple":
            comma = "," if len(inner) == 1 else ""
            return f"({', '.join(map(self.type, inner))}{comma})"
        if what == "slice":
            return f"[{self.type(inner)}]"
        if what == "array":
            return f"[{self.type(inner['type'])}; {inner['len']}]"
        if what == "impl_trait":
            return "impl " + self.bounds(inner, "")
        if what == "dyn_trait":
            traits = [self.higher(one["generic_params"]) + self.path(one["trait"]) for one in inner["traits"]]
            lifetime = [inner["lifetime"]] if inner["lifetime"] else []
            return f"dyn {' + '.join(traits + lifetime)}"
        if what == "raw_pointer":
            return f"*{'mut' if inner['is_mutable'] else 'const'} {self.type(inner['type'])}"
        if what == "borrowed_ref":
            lifetime = f"{inner['lifetime']} " if inner["lifetime"] else ""
            return f"&{lifetime}{'mut ' if inner['is_mutable'] else ''}{self.type(inner['type'])}"
        if what == "qualified_path":
            trait = f" as {self.path(inner['trait'])}" if inner["trait"] and inner["trait"]["path"] else ""
            return f"<{self.type(inner['self_type'])}{trait}>::{inner['name']}"
        if what == "function_pointer":
            inputs = ", ".join(self.type(one) for _, one in inner["sig"]["inputs"])
            output = f" -> {self.type(inner['sig']['output'])}" if inner["sig"]["output"] else ""
            unsafe = "unsafe " if inner["header"]["is_unsafe"] else ""
            extern = inner["header"]["abi"]
            extern = "" if extern == "Rust" else f'extern "{abi(extern)}" '
            return f"{self.higher(inner['generic_params'])}{unsafe}{extern}fn({inputs}){output}"
        raise SystemExit(f"api.py: no way to write a type of kind {what}")

    def path(self, path):
        return self.name(path) + self.args(path["args"])

    def args(self, args):
        if args is None:
            return ""
        if "parenthesized" in args:
            inner = args["parenthesized"]
            output = f" -> {self.type(inner['output'])}" if inner["output"] else ""
            return f"({', '.join(map(self.type, inner['inputs']))}){output}"
        if "angle_bracketed" not in args:
            return "(..)"
        inner = args["angle_bracketed"]
        texts = [self.arg(arg) for arg in inner["args"]]
        for constraint in inner["constraints"]:
            what, value = next(iter(constraint["binding"].items()))
            text = f" = {self.term(value)}" if what == "equality" else self.bounds(value, ": ")
            texts.append(constraint["name"] + self.args(constraint["args"]) + text)
        return f"<{', '.join(texts)}>" if texts else ""

    def arg(self, arg):
        if arg == "infer":
            return "_"
        what, inner = next(iter(arg.items()))
        return {"lifetime": str, "type": self.type, "const": lambda value: value["expr"]}[what](inner)

    def term(self, term):
        return self.type(term["type"]) if "type" in term else term["constant"]["expr"]

    def is_local(self, key):
        return self.paths.get(str(key), {"crate_id": 0})["crate_id"] == 0

    def name(self, path):
        """The same for every way to write it."""
        known = self.paths.get(str(path["id"]))
        if str(path["id"]) in self.public:
            return self.public[str(path["id"])]
        if known is None:
            return path["path"]
        parts = known["path"]
        if known["crate_id"] == 0:
            return "::".join(parts)
        if parts[0] in ("alloc", "core", "std"):
            if parts[-1] in PRELUDE:
                return parts[-1]
            # What is in a private module is public in the one at the top.
            return "::".join(["std"] + parts[1:2] + parts[-1:]) if len(parts) > 2 else parts[-1]
        return f"{parts[0]}::{parts[-1]}"


def kind(item):
    return next(iter(item["inner"]))


def abi(name):
    return name if isinstance(name, str) else next(iter(name))


def last_name(path):
    return path.split("::")[-1]


def order(line):
    """By path; what a type implements comes after what it has."""
    words = line.split(" for ") if line.startswith("impl") else [line]
    path = next((word for word in words[-1].split() if "::" in word), words[-1])
    plain = "".join(c if c.isalnum() or c in ":_" else " " for c in path).split()
    return (plain[0] if plain else "", line.startswith("impl"), line)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    if data["format_version"] not in FORMATS:
        raise SystemExit(f"api.py: rustdoc's format is {data['format_version']}, known are {FORMATS}")
    for line in sorted(Surface(data).lines, key=order):
        print(line)


main()
