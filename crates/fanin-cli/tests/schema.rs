//! The recipe schema for editors: the file in `docs` is what the code says.

mod fixture;

use fixture::Fixture;

#[test]
fn the_schema_beside_the_docs_is_the_codes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipe.schema.json");
    let wanted = Fixture::new().good(&["recipe", "--schema"]).stdout;
    if std::env::var_os("FANIN_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert!(found == wanted, "{}: FANIN_GOLDEN=write cargo test -p fanin-cli --test schema", path.display());
}
