//! Renders an inspection as an HTML page. The page can be opened offline, because it contains its style sheet and its
//! script.
//!
//! The tensor names and the metadata of a checkpoint may contain malicious HTML. The crate `maud` escapes such text.
//! The JSON for the script contains no `<`. The content security policy allows only the page's own script and style
//! sheet. It blocks all other resources.

mod assets;
mod data;
mod depth_data;

use assets::{POLICY, SCRIPT, STYLE};
use data::Data;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::inspection::{Inspection, MISSING};
use fanin_recipe::Entry;
use fanin_recipe::text::{self, escaped};

/// The top of the page lists at most this many distinct warnings, and at most this many missing tensors.
const MAX_LISTED: usize = 40;

/// The page shows at most this many links to tensors for one warning.
const MAX_LINKS: usize = 8;

/// The text at the beginning of every page. A file that begins with this text is a page of fanin, so the command line
/// may overwrite the file.
pub const PAGE_BEGIN: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"fanin ";

impl Inspection {
    /// Returns the inspection as an HTML page.
    pub fn to_html(&self) -> String {
        let data = Data::new(self, MAX_LISTED);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="generator" content={ "fanin " (env!("CARGO_PKG_VERSION")) };
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (escaped(&self.file)) " – fanin inspect" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { bdi { (escaped(&self.file)) } }
                        p.note { (self.subtitle()) }
                    }
                    main {
                        (self.warnings(&data))
                        (self.overview())
                        noscript {
                            p { "The charts and the table of tensors need JavaScript. " code { "fanin inspect" } " without --html prints the table." }
                        }
                        @if data.has_depth() {
                            section data-script hidden {
                                h2 { "Std by depth" }
                                div #depth {}
                            }
                        }
                        section data-script hidden {
                            h2 #table { "Tensors" }
                            (controls())
                            div.scroll tabindex="0" role="region" aria-labelledby="table" {
                                table #tensors { thead { tr {} } }
                            }
                            (pager())
                        }
                    }
                    script #data type="application/json" { (PreEscaped(data.json())) }
                    script type="module" { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    /// Returns the line below the title: the version of fanin, and the recipe.
    fn subtitle(&self) -> Markup {
        html! {
            "Inspected with fanin " (env!("CARGO_PKG_VERSION"))
            @match &self.recipe {
                Some(recipe) => { ", compared with the recipe " bdi { (escaped(recipe)) } "." }
                None => ". No recipe was given, so there are no planned values."
            }
        }
    }

    /// Returns the section of warnings. Each listed warning has links to at most `MAX_LINKS` tensors.
    fn warnings(&self, data: &Data) -> Markup {
        let mut owners: Vec<Vec<usize>> = vec![Vec::new(); data.warnings.len()];
        for (&tensor, warnings) in &data.warned {
            warnings.iter().for_each(|&warning| owners[warning].push(tensor));
        }
        let tensors = data.warned.len() + self.missing.len();
        let good = tensors == 0;
        html! {
            section #warnings class=(if good { "good" } else { "bad" }) {
                h2 {
                    @if good { "No warnings" } @else {
                        (text::counted(tensors as u64, "tensor")) " with warnings"
                    }
                }
                @if good {
                    p {
                        @if self.recipe.is_some() {
                            "No NaN, no value outside of its bounds, and no mean or std more than 5 standard errors from its plan. "
                            code { "fanin verify" } " has the full tests."
                        } @else {
                            "No NaN, no infinity, and no matrix that is constant or rank-deficient. A recipe allows more checks; "
                            code { "fanin audit" } " classifies the values without one."
                        }
                    }
                }
                ul {
                    (missing(&self.missing))
                    @for (warning, tensors) in owners.iter().enumerate().take(data.listed) {
                        li {
                            (data.warnings[warning]) " "
                            (self.links(&tensors[..tensors.len().min(MAX_LINKS)]))
                            @if tensors.len() > MAX_LINKS {
                                button.link type="button" data-warning=(warning) {
                                    "all " (text::count(tensors.len() as u64)) " in the table"
                                }
                            }
                        }
                    }
                    @if data.warnings.len() > data.listed {
                        li {
                            (text::counted((data.warnings.len() - data.listed) as u64, "other warning")) ": "
                            button.link type="button" data-warning="any" { "all tensors with warnings in the table" }
                        }
                    }
                }
            }
        }
    }

    /// Returns links to the tensors at these indices.
    fn links(&self, tensors: &[usize]) -> Markup {
        html! {
            span.links {
                @for index in tensors {
                    a href={ "#t" (index) } { bdi { (escaped(&self.tensors[*index].entry.name)) } } " "
                }
            }
        }
    }

    /// Returns the section with the counts and sizes of the tensors, the metadata and the recipe.
    fn overview(&self) -> Markup {
        let total = self.total();
        let types = self.by_type();
        let metadata = || self.manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe");
        html! {
            section {
                h2 { "Overview" }
                dl.tiles {
                    div { dt { "tensors" } dd { (text::count(total.tensors)) } }
                    div { dt { "values" } dd { (text::count(total.values)) } }
                    div { dt { "size" } dd { (text::bytes(total.bytes)) } }
                    @for (dtype, total) in &types {
                        div {
                            dt { (dtype) }
                            dd { (text::counted(total.tensors, "tensor")) }
                            dd.note { (text::counted(total.values, "value")) ", " (text::bytes(total.bytes)) }
                        }
                    }
                }
                @if metadata().next().is_some() {
                    details {
                        summary { "Metadata" }
                        dl.facts {
                            @for (key, value) in metadata() {
                                dt { bdi { (escaped(key)) } }
                                dd { bdi { (escaped(value)) } }
                            }
                        }
                    }
                }
                @if let Some(recipe) = self.manifest.metadata("fanin.recipe") {
                    details {
                        summary { "The recipe in the metadata of the file" }
                        pre { @for line in recipe.lines() { (escaped(line)) "\n" } }
                    }
                }
            }
        }
    }
}

/// Returns the list items of the tensors that the checkpoint lacks.
fn missing(entries: &[Entry]) -> Markup {
    let names = entries.iter().take(MAX_LISTED);
    let others = entries.len().saturating_sub(MAX_LISTED);
    html! {
        @for entry in names { li { (MISSING) ": " bdi { (escaped(&entry.name)) } } }
        @if others > 0 { li { (MISSING) ": " (text::count(others as u64)) " others" } }
    }
}

/// Returns the controls above the table.
fn controls() -> Markup {
    html! {
        div.controls {
            label { "Filter " input #filter type="search" placeholder="attn weight F32" autocomplete="off" spellcheck="false"; }
            label hidden {
                "Warnings "
                select #warned {
                    option value="" { "all tensors" }
                    option value="any" { "tensors with warnings" }
                }
            }
            label.narrow { "Sort by " select #sort { option value="-1" { "file order" } } }
            button #close type="button" hidden { "Close all" }
            output #shown role="status" {}
            (pager())
        }
    }
}

/// Returns the buttons that choose the page of the table.
fn pager() -> Markup {
    html! {
        div.pager hidden {
            button type="button" data-step="-1" { "‹ Previous" }
            span {}
            button type="button" data-step="1" { "Next ›" }
        }
    }
}
