//! Tests of the page of `inspect --html` without a browser. The page must be well-formed, and must load no other file.
//! It must escape names that contain markup, and must have the same values as the JSON. `inspect_page_browser.rs` tests
//! the page in a browser.

mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use serde_json::Value;

/// Tensor names that browsers would interpret as markup if they were not escaped.
const HOSTILE: [&str; 6] = [
    "</title></style></script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' onfocus='alert(1)' autofocus='",
    "<!-- --> ]]> &lt;b&gt; &amp;",
    "\u{202e}thgiew.0.h \u{1b}[31m\n\t\u{0}",
];

/// An opening tag of an HTML page.
#[derive(Debug, PartialEq)]
struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
    /// The text between this tag and the next tag.
    text: String,
}

/// Returns a text with HTML entities replaced by their characters.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Returns the opening tags of a page in order. Panics if elements are not closed in the correct order.
fn tags(page: &str) -> Vec<Tag> {
    const VOID: [&str; 3] = ["meta", "input", "br"];
    let (mut tags, mut open, mut rest) = (Vec::<Tag>::new(), Vec::<String>::new(), page);
    rest = rest.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        assert!(!text.contains('>'), "a bare > in {text:?}");
        if let Some(last) = tags.last_mut() {
            last.text.push_str(&plain(text));
        }
        let end = tag.find('>').expect("a tag ends");
        let (inside, after) = (&tag[1..end], &tag[end + 1..]);
        rest = after;
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (name, mut left) = inside.split_once(' ').unwrap_or((inside, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name:?}");
        let mut attributes = BTreeMap::new();
        while !left.is_empty() {
            let (key, value) = match (left.find("=\""), left.find(' ')) {
                (Some(equals), space) if space.is_none_or(|space| equals < space) => {
                    let (key, value) = (&left[..equals], &left[equals + 2..]);
                    let quote = value.find('"').expect("a value ends");
                    left = value[quote + 1..].trim_start();
                    (key, &value[..quote])
                }
                (_, space) => {
                    let (key, more) = left.split_at(space.unwrap_or(left.len()));
                    left = more.trim_start();
                    (key, "")
                }
            };
            assert!(!key.starts_with("on") && key != "style", "{key} in {inside:?}");
            assert_eq!(attributes.insert(key.to_owned(), plain(value)), None, "{inside:?}");
        }
        if name == "script" || name == "style" {
            let close = rest.find(&format!("</{name}>")).unwrap();
            rest = &rest[close..];
        }
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        tags.push(Tag { name: name.to_owned(), attributes, text: String::new() });
    }
    assert_eq!((open.len(), rest), (0, ""));
    tags
}

fn attribute<'a>(tag: &'a Tag, key: &str) -> Option<&'a str> {
    tag.attributes.get(key).map(String::as_str)
}

/// Returns the data of a page, from which the script of the page creates the table.
fn data(page: &str) -> Value {
    let after = page.split("<script id=\"data\" type=\"application/json\">").nth(1).unwrap();
    serde_json::from_str(after.split("</script>").next().unwrap()).unwrap()
}

/// Returns the tensor names in the data of a page. The number `kept[i]` says how many UTF-16 code units name i has in
/// common with the start of the previous name. The string `names[i]` is the rest of name i.
fn names(data: &Value) -> Vec<String> {
    let mut before: Vec<u16> = Vec::new();
    let name = |(kept, rest): (&Value, &Value)| {
        before.truncate(kept.as_u64().unwrap() as usize);
        before.extend(rest.as_str().unwrap().encode_utf16());
        String::from_utf16(&before).unwrap()
    };
    data["kept"].as_array().unwrap().iter().zip(data["names"].as_array().unwrap()).map(name).collect()
}

/// Runs `inspect` on `x.safetensors`, and returns the page and the JSON.
fn inspect(fixture: &Fixture, more: &[&str]) -> (String, Value) {
    let all = [&["inspect", "x.safetensors", "--html", "x.html", "--json"][..], more].concat();
    let json = fixture.good(&all).stdout;
    (String::from_utf8(fixture.bytes("x.html")).unwrap(), serde_json::from_str(&json).unwrap())
}

#[test]
fn the_page_has_the_same_numbers_as_the_json() {
    let fixture = Fixture::new();
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "x.safetensors"]);
    let wrong = "[init]\n\"*.weight\" = \"normal(std=0.9/sqrt(2*fan_in))\"\n\"*\" = \"zeros\"\n";
    std::fs::write(fixture.path("wrong.toml"), wrong).unwrap();
    for more in [
        &["--recipe", "r.toml"][..],
        &["--recipe", "wrong.toml"],
        &["--recipe", "r.toml", "--no-spectra"],
        &[],
    ] {
        let (page, json) = inspect(&fixture, more);
        let (tags, data) = (tags(&page), data(&page));
        let tensors = json["tensors"].as_array().unwrap();
        let names = names(&data);
        assert_eq!(names.len(), tensors.len());
        for (number, tensor) in tensors.iter().enumerate() {
            assert_eq!(names[number], tensor["name"].as_str().unwrap());
            let (measured, planned, spectrum) =
                (&tensor["measured"], &tensor["planned"], &tensor["spectrum"]);
            let kind = &data["kinds"][data["kind"][number].as_u64().unwrap() as usize];
            assert_eq!(
                (kind["dtype"].as_str(), &kind["values"]),
                (tensor["dtype"].as_str(), &tensor["values"])
            );
            let plan = usize::try_from(data["plan"][number].as_i64().unwrap())
                .map_or(&Value::Null, |plan| &data["plans"][plan]);
            assert_eq!(plan["rule"], planned["rule"]);
            let spec = if plan["spec"].is_null() { &plan["scheme"] } else { &plan["spec"] };
            assert_eq!(spec, &planned["scheme"]);
            let error = plan["error"].as_f64().map(|error| error * plan["std"].as_f64().unwrap());
            for (label, found, right) in [
                ("mean", data["mean"][number].as_f64(), &measured["mean"]),
                ("std", data["std"][number].as_f64(), &measured["std"]),
                ("min", data["min"][number].as_f64(), &measured["min"]),
                ("max", data["max"][number].as_f64(), &measured["max"]),
                ("zeros", data["zeros"][number].as_f64(), &measured["zeros"]),
                ("planned std", plan["std"].as_f64(), &planned["std"]),
                ("planned mean", plan["mean"].as_f64(), &planned["mean"]),
                ("error", error, &planned["std_error"]),
                ("norm", data["norm"][number].as_f64(), &spectrum["norm"]),
                ("least", data["least"][number].as_f64(), &spectrum["least"]),
            ] {
                // The numbers on the page have five or six significant digits. Standard errors have four.
                let near = |a: f64, b: f64| {
                    a == b || (a / b - 1.0).abs() < if label == "error" { 1e-3 } else { 1e-4 }
                };
                let right = right.as_f64();
                let same = found.zip(right).map_or(found.is_none() && right.is_none(), |(a, b)| near(a, b));
                assert!(same, "{label} of {}: {found:?} {right:?}", tensor["name"]);
            }
            // `bars` and `planned` have one character for each count of the histogram. A character is the height of a
            // bar: `#` is 0, and `~` is the largest count.
            let histogram = &measured["histogram"];
            let counts = |key: &str| -> Vec<f64> {
                histogram[key]
                    .as_array()
                    .map_or(Vec::new(), |counts| counts.iter().map(|count| count.as_f64().unwrap()).collect())
            };
            let heights = |key: &str| -> Vec<f64> {
                data[key][number]
                    .as_str()
                    .unwrap()
                    .bytes()
                    .map(|height| f64::from(height - b'#') / 91.0)
                    .collect()
            };
            let top = [counts("counts"), counts("planned")].concat().into_iter().fold(1.0, f64::max);
            for (counts, heights) in
                [(counts("counts"), heights("bars")), (counts("planned"), heights("planned"))]
            {
                assert_eq!(counts.len(), heights.len(), "{}", tensor["name"]);
                for (count, height) in counts.iter().zip(heights) {
                    assert!(
                        (count / top - height).abs() <= 1.0 / 91.0,
                        "{}: {count} {height}",
                        tensor["name"]
                    );
                    assert!(*count < 0.5 || height > 0.0);
                }
            }
            let warned = data["warned"][number.to_string()].as_array().map_or(Vec::new(), |warnings| {
                warnings
                    .iter()
                    .map(|warning| data["warnings"][warning.as_u64().unwrap() as usize].clone())
                    .collect()
            });
            assert_eq!(&Value::Array(warned), &tensor["warnings"]);
        }
        // The top of the page lists each warning once, with links to the tensors that have this warning.
        let texts: Vec<&str> = json["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|warning| warning["text"].as_str().unwrap())
            .collect();
        assert_eq!(texts.is_empty(), !more.contains(&"wrong.toml"), "{texts:?}");
        let links = tags.iter().filter(|tag| tag.name == "a").count();
        assert_eq!(links, texts.len());
        let before_table = page.split("<table").next().unwrap();
        assert!(texts.iter().all(|text| plain(before_table).contains(text)), "{texts:?}");
        for id in tags.iter().filter_map(|tag| attribute(tag, "id")) {
            assert_eq!(tags.iter().filter(|tag| attribute(tag, "id") == Some(id)).count(), 1, "{id}");
        }
    }
}

#[test]
fn hostile_names_are_escaped_and_nothing_is_loaded() {
    let fixture = Fixture::new();
    let entry =
        |name: &&str| (format!("h.0.{name}"), serde_json::json!({ "dtype": "F32", "shape": [3, 40] }));
    let manifest: serde_json::Map<String, Value> = HOSTILE.iter().map(entry).collect();
    std::fs::write(fixture.path("h.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    let recipe = "# </pre></script><script>alert(1)</script>\n[init]\n\"*\" = \"constant(0.5)\"\n";
    std::fs::write(fixture.path("h.toml"), recipe).unwrap();
    fixture.good(&["init", "h.toml", "--like", "h.json", "-o", "x.safetensors"]);
    let (page, json) = inspect(&fixture, &["--recipe", "h.toml"]);
    assert_eq!(json["tensors"].as_array().unwrap().len(), HOSTILE.len());
    // If a name were interpreted as markup, the page would have other tags than a page with names without markup.
    let kinds = |page: &str| -> Vec<String> { tags(page).into_iter().map(|tag| tag.name).collect() };
    let hostile = kinds(&page);
    let good: serde_json::Map<String, Value> =
        (0..HOSTILE.len()).map(|n| entry(&&*format!("w{n}"))).collect();
    std::fs::write(fixture.path("h.json"), serde_json::to_string(&good).unwrap()).unwrap();
    fixture.good(&["init", "h.toml", "--like", "h.json", "-o", "x.safetensors", "--force"]);
    assert_eq!(hostile.len(), kinds(&inspect(&fixture, &["--recipe", "h.toml"]).0).len());
    assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (2, 0));
    // In names, control characters and characters that change the direction of text are escaped.
    let escaped = names(&data(&page));
    assert!(
        escaped.iter().any(|name| name.contains("\\u{202e}thgiew.0.h \\u{1b}[31m\\n\\t\\u{0}")),
        "{escaped:?}"
    );
    assert!(escaped.iter().any(|name| name.contains(HOSTILE[0])), "{escaped:?}");
    assert!(!page.contains(['\u{1b}', '\u{202e}']));
    for outside in ["http:", "https:", "//cdn", "src=", "url(", "@import", "<link", "<iframe"] {
        let namespace = "http://www.w3.org/2000/svg";
        let found =
            page.replace("src=x", "").replace("default-src", "").replace(namespace, "").contains(outside);
        assert!(!found, "{outside}");
    }
    // The content security policy applies only to the elements after it, so it must be the first element.
    assert!(page.find("Content-Security-Policy").unwrap() < page.find("<title").unwrap());
}

#[test]
fn a_tensor_takes_less_than_180_bytes_of_the_page() {
    let fixture = Fixture::new();
    let entry = |n: usize| {
        let (layer, kind) = (n / 10, n % 10);
        let name = format!("model.layers.{layer}.block.kind_{kind}.projection.weight");
        (name, serde_json::json!({ "dtype": "F32", "shape": [16, 24] }))
    };
    let manifest: serde_json::Map<String, Value> = (0..1000).map(entry).collect();
    std::fs::write(fixture.path("many.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(fixture.path("many.toml"), "[init]\n\"*\" = \"normal(std=0.02)\"\n").unwrap();
    fixture.good(&["init", "many.toml", "--like", "many.json", "-o", "x.safetensors"]);
    let (page, _) = inspect(&fixture, &["--recipe", "many.toml"]);
    let data = data(&page);
    assert_eq!(names(&data).len(), 1000);
    assert_eq!((data["kinds"].as_array().unwrap().len(), data["plans"].as_array().unwrap().len()), (1, 1));
    let bytes = data.to_string().len();
    assert!(bytes < 180_000, "{bytes} bytes");
    // The rest of the page is mainly the style sheet and the script.
    assert!(page.len() < bytes + 50_000, "{} bytes", page.len());
}

#[test]
fn a_warning_of_many_tensors_is_listed_with_a_few_of_them() {
    let fixture = Fixture::new();
    let entry = |n: usize| (format!("h.{n}.bias"), serde_json::json!({ "dtype": "F32", "shape": [3] }));
    let manifest: serde_json::Map<String, Value> = (0..100).map(entry).collect();
    std::fs::write(fixture.path("many.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    for (name, spec) in [("used", "ones"), ("planned", "zeros")] {
        std::fs::write(fixture.path(&format!("{name}.toml")), format!("[init]\n\"*\" = \"{spec}\"\n"))
            .unwrap();
    }
    fixture.good(&["init", "used.toml", "--like", "many.json", "-o", "x.safetensors"]);
    let (page, _) = inspect(&fixture, &["--recipe", "planned.toml"]);
    assert!(page.contains("100 tensors with warnings") && page.contains("all 100 in the table"));
    assert_eq!(tags(&page).iter().filter(|tag| tag.name == "a").count(), 8);
}

#[test]
fn a_page_replaces_an_existing_page_but_no_other_file() {
    let fixture = Fixture::new();
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "x.safetensors"]);
    let inspect = |out: &'static str| ["inspect", "x.safetensors", "--html", out];
    let ran = fixture.good(&inspect("r.html"));
    assert!(ran.stdout.is_empty() && ran.stderr.contains("r.html: 5 tensors"), "{}", ran.stderr);
    let first = fixture.bytes("r.html");
    fixture.good(&[&inspect("r.html")[..], &["--recipe", "r.toml"]].concat());
    assert_ne!(fixture.bytes("r.html"), first);
    fixture.good(&inspect("r.html"));
    assert_eq!(fixture.bytes("r.html"), first, "equal runs write equal pages");
    for name in ["x.safetensors", "r.toml"] {
        let before = fixture.bytes(name);
        fixture
            .refused(&["inspect", "x.safetensors", "--html", name], &[name, "not a page written by fanin"]);
        assert_eq!(fixture.bytes(name), before);
    }
    fixture.refused(&inspect("no/r.html"), &["no such folder"]);
    fixture.refused(&inspect("."), &["is a folder"]);
}
