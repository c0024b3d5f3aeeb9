//! What the derive macro refuses, and how it says so. Here and not in `restow`, whose features would all be built once more for it.

#[test]
fn what_cannot_be_a_key_does_not_compile_and_the_error_names_the_field() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
