//! Tests that the JSON schema of recipes in `docs` equals the schema that the code generates.

mod fixture;

use fixture::Fixture;

#[test]
fn the_schema_in_docs_equals_the_generated_schema() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipe.schema.json");
    let expected = Fixture::new().good(&["recipe", "--schema"]).stdout;
    if std::env::var_os("FANIN_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert!(
        found == expected,
        "{} is out of date: run FANIN_GOLDEN=write cargo test -p fanin-cli --test schema",
        path.display()
    );
}
