//! What must not compile: each file below `compile_fail/` is a misuse, and says in its first line
//! what rule it breaks. Where the compiler says it in other words since a change, the variable
//! `TRYBUILD=overwrite` has them written down anew.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
