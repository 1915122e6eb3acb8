//! Tests of the page of `inspect --html` in a browser. The script of the page sorts rows, filters rows and opens
//! details. It must run under the content security policy of the page.
//!
//! The environment variable `FANIN_BROWSER` gives the path of the browser. If the variable is not set, the tests use
//! Chromium, Chrome or Edge, whichever is found first. Without a browser, the tests print a message and pass.
//! `inspect_page.rs` tests the page without a browser.

mod fixture;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fixture::Fixture;

/// Returns the path of a browser, or `None` if there is none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FANIN_BROWSER") {
        return Some(named.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"];
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let on_path = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let elsewhere = [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
        "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
    ];
    let found = on_path.chain(elsewhere.map(PathBuf::from)).find(|path| path.is_file());
    if found.is_none() {
        // The test harness hides the output of `eprintln!` in a passing test, so standard error is written directly.
        let message = "found no browser, so the page is not tested in a browser: set FANIN_BROWSER to the path of a browser";
        _ = writeln!(std::io::stderr(), "\n{message}\n");
    }
    found
}

/// Opens a page in the browser, and returns the DOM of the page after its scripts have run.
fn dom_of(browser: &Path, fixture: &Fixture, page: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", fixture.path(page).display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script in a copy of the page `b.html`, and returns the text that the script appends to the page. The content
/// security policy of `b.html` blocks the script, so the copy has another policy.
fn seen(browser: &Path, fixture: &Fixture, script: &str) -> String {
    let page = String::from_utf8(fixture.bytes("b.html")).unwrap();
    let policy = page.split("script-src ").nth(1).unwrap().split('"').next().unwrap();
    let page = page.replace(policy, "'unsafe-inline'");
    let page = page.replace("</body>", &format!("<script type=\"module\">{script}</script></body>"));
    std::fs::write(fixture.path("script.html"), page).unwrap();
    let dom = dom_of(browser, fixture, "script.html");
    let seen = dom.split("<pre id=\"seen\">").nth(1).unwrap_or_else(|| panic!("no end: {dom}"));
    seen.split("</pre>").next().unwrap().replace("&lt;", "<").replace("&gt;", ">")
}

/// A script for `seen`. It operates the page, and records the visible text after each step. At the end, it appends the
/// record to the page.
const CLICKS: &str = r##"
const out = [];
const say = (what, value) => out.push(what + ": " + value);
const get = (id) => document.getElementById(id);
const seen = () => [...document.querySelectorAll("#tensors tbody")].filter((body) => body.offsetHeight > 0)
    .map((body) => body.querySelector("bdi").textContent).join(" ");
const head = (name) => [...document.querySelectorAll("thead button")].find((button) => button.textContent === name);
const sorted = (name) => head(name).closest("th").getAttribute("aria-sort");
const type = (text) => { get("filter").value = text; get("filter").dispatchEvent(new Event("input", { bubbles: true })); };
say("start", seen());
head("std").click(); say("std " + sorted("std"), seen());
head("std").click(); say("std " + sorted("std"), seen());
head("std").click(); say("std " + sorted("std"), seen());
head("tensor").click(); say("tensor " + sorted("tensor"), seen());
head("shape").click(); head("shape").click(); say("shape " + sorted("shape"), seen());
type("H.1 bf16"); say("filter", seen() + " = " + get("shown").textContent);
type("nothing"); say("filter", seen() + " = " + get("shown").textContent);
const choose = (value) => { get("warned").value = value; get("warned").dispatchEvent(new Event("change")); };
type(""); choose("any"); say("warned", seen() + " = " + get("shown").textContent);
choose("0"); say("this warning", seen() + " = " + get("shown").textContent);
choose(""); say("all", get("shown").textContent);
get("sort").value = "-1"; get("sort").dispatchEvent(new Event("change")); say("select", seen());
const name = document.querySelector("#t0 .name"), more = () => document.querySelector("#t0 .more");
say("closed", more() + " " + name.getAttribute("aria-expanded"));
name.click(); say("open", (more().offsetHeight > 100) + " " + name.getAttribute("aria-expanded"));
const chart = more().querySelector("g .bars").getBoundingClientRect();
say("chart", chart.width > 200 && chart.height > 90);
say("facts", [...more().querySelectorAll("dt")].map((term) => term.textContent).join(", "));
get("close").click(); say("close", more() + " " + get("close").hidden);
type("h.10"); document.querySelector("#warnings a").click();
await new Promise((done) => setTimeout(done, 200));
say("link", document.activeElement.textContent + " = " + get("shown").textContent);
const key = document.querySelector("[data-s]"); key.click();
say("lit", document.querySelectorAll(".lit .on").length + " " + document.querySelectorAll(".series").length);
say("fits", document.documentElement.scrollWidth <= innerWidth);
say("title", document.title);
document.title = "done";
const pre = document.createElement("pre"); pre.id = "seen"; pre.textContent = out.join("\n") + "\n"; document.body.append(pre);
"##;

#[test]
fn the_page_sorts_rows_filters_rows_and_opens_details_in_a_browser() {
    let Some(browser) = browser() else { return };
    let fixture = Fixture::new();
    let manifest = r#"{"h.2.weight": {"dtype": "F32", "shape": [30, 40]}, "h.10.weight": {"dtype": "F32", "shape": [20, 30]},
        "h.1.weight": {"dtype": "BF16", "shape": [50, 60]}, "h.1.bias": {"dtype": "BF16", "shape": [9]},
        "<img src=x onerror=\"document.title='hurt'\">": {"dtype": "F32", "shape": [0, 2]}}"#;
    std::fs::write(fixture.path("b.json"), manifest).unwrap();
    let rules = |two: &str| {
        format!(
            "[init]\n\"h.2.*\" = \"{two}\"\n\"h.10.*\" = \"normal(std=0.1)\"\n\"h.1.weight\" = \"normal(std=0.3)\"\n\
             \"*\" = \"zeros\"\n"
        )
    };
    std::fs::write(fixture.path("used.toml"), rules("normal(std=0.2)")).unwrap();
    std::fs::write(fixture.path("planned.toml"), rules("normal(std=0.4)")).unwrap();
    fixture.good(&["init", "used.toml", "--like", "b.json", "-o", "b.safetensors"]);
    fixture.good(&["inspect", "b.safetensors", "--recipe", "planned.toml", "--html", "b.html"]);
    // The policy of the page itself must allow its script. The name that contains markup must be shown as text.
    let own = dom_of(&browser, &fixture, "b.html");
    assert!(own.contains("<option value=\"1\">tensor ▼</option>"), "the page's script did not run");
    assert!(own.contains("<bdi>&lt;img src=x") && !own.contains("<img src") && !own.contains("<title>hurt"));
    let seen = seen(&browser, &fixture, CLICKS);
    let hostile = "<img src=x onerror=\"document.title='hurt'\">";
    let right = format!(
        "start: h.2.weight h.10.weight h.1.weight h.1.bias {hostile}
std ascending: h.1.bias h.10.weight h.2.weight h.1.weight {hostile}
std descending: h.1.weight h.2.weight h.10.weight h.1.bias {hostile}
std null: h.2.weight h.10.weight h.1.weight h.1.bias {hostile}
tensor ascending: {hostile} h.1.bias h.1.weight h.2.weight h.10.weight
shape descending: h.1.weight h.2.weight h.10.weight h.1.bias {hostile}
filter: h.1.weight h.1.bias = 2 of 5
filter:  = 0 of 5
warned: h.2.weight = 1 of 5
this warning: h.2.weight = 1 of 5
all: 5 of 5
select: h.2.weight h.10.weight h.1.weight h.1.bias {hostile}
closed: null false
open: true true
chart: true
facts: values, rule, scheme, distribution, planned mean, std, standard error of the std, mean, std, min, max, zeros, NaN, infinite, matrix shape, spectral norm, smallest singular value, condition number
close: null true
link: h.2.weight = 5 of 5
lit: 1 1
fits: true
title: b.safetensors – fanin inspect
"
    );
    assert_eq!(seen, right);
}

/// A script that turns the pages of the table.
const TURNS: &str = r##"
const out = [];
const say = (what, value) => out.push(what + ": " + value);
const get = (id) => document.getElementById(id);
const rows = () => document.querySelectorAll("#tensors tbody").length + " from " + document.querySelector("#tensors bdi").textContent;
const pager = document.querySelector(".pager"), [previous, next] = pager.querySelectorAll("button");
const state = () => pager.querySelector("span").textContent + " " + previous.disabled + " " + next.disabled;
say("first", rows() + ", " + state());
next.click(); next.click(); say("last", rows() + ", " + state());
previous.click(); say("middle", rows() + ", " + state());
location.hash = "#t7"; await new Promise((done) => setTimeout(done, 200));
say("link", document.activeElement.textContent + ", " + state());
get("filter").value = "h.59"; get("filter").dispatchEvent(new Event("input"));
say("filtered", rows() + " " + pager.hidden);
const pre = document.createElement("pre"); pre.id = "seen"; pre.textContent = out.join("\n") + "\n"; document.body.append(pre);
"##;

#[test]
fn a_table_of_many_tensors_has_pages_in_a_browser() {
    let Some(browser) = browser() else { return };
    let fixture = Fixture::new();
    let entry = |n: usize| format!("\"h.{n}.bias\": {{\"dtype\": \"F32\", \"shape\": [2]}}");
    let manifest = (0..600).map(entry).collect::<Vec<_>>().join(", ");
    std::fs::write(fixture.path("b.json"), format!("{{{manifest}}}")).unwrap();
    std::fs::write(fixture.path("b.toml"), "[init]\n\"*\" = \"zeros\"\n").unwrap();
    fixture.good(&["init", "b.toml", "--like", "b.json", "-o", "b.safetensors"]);
    fixture.good(&["inspect", "b.safetensors", "--html", "b.html"]);
    let seen = seen(&browser, &fixture, TURNS);
    let right = "first: 250 from h.0.bias, rows 1 to 250 of 600 true false
last: 100 from h.500.bias, rows 501 to 600 of 600 false true
middle: 250 from h.250.bias, rows 251 to 500 of 600 false false
link: h.7.bias, rows 1 to 250 of 600 true false
filtered: 11 from h.59.bias true
";
    assert_eq!(seen, right);
}
