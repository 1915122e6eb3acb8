//! The inspection as a page: one file that holds all it needs, so that it opens anywhere.
//!
//! Names and texts come from files that anybody may have written. maud escapes them, and the page's own policy lets run
//! the one script that is part of it and nothing else, and load nothing at all.

mod axis;
mod chart;
mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::depth::Depth;
use super::{Inspection, MISSING};
use fanin_recipe::text::{self as numbers, escaped as shown};

/// How a page begins: what says that a file is one, and may be replaced by a newer one.
pub const BEGIN: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"fanin ";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What may run and load: the style and the script of these SHA-256 sums.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
                      style-src 'sha256-i90bUO5bIH/IBqpJlcG6H4YyBU0WRq9sKF2arqY6T5k='; \
                      script-src 'sha256-O0aRT0eeS9uF9yfRDaxdVQCvKb0kphgKf/17FaejQyI='";

impl Inspection {
    /// All of it as a page.
    pub fn page(&self) -> String {
        let depth = Depth::of(self);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="generator" content={ "fanin " (env!("CARGO_PKG_VERSION")) };
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (shown(&self.file)) " – fanin inspect" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { bdi { (shown(&self.file)) } }
                        p.note { (self.subtitle()) }
                    }
                    main {
                        (self.warnings())
                        (self.overview())
                        @if depth.places.len() > 1 {
                            section {
                                h2 #depth { "Std by depth" }
                                (chart::depth(self, &depth))
                            }
                        }
                        section {
                            h2 #table { "Tensors" }
                            (self.controls())
                            div.scroll tabindex="0" role="region" aria-labelledby="table" { (table::table(self)) }
                        }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn subtitle(&self) -> Markup {
        html! {
            "Seen by fanin " (env!("CARGO_PKG_VERSION"))
            @match &self.recipe {
                Some(recipe) => { ", held against the recipe " bdi { (shown(recipe)) } "." }
                None => ". No recipe was given: --recipe adds what was planned."
            }
        }
    }

    /// All warnings, each text once, with the tensors that it is about.
    fn warnings(&self) -> Markup {
        let all = self.rows.iter().enumerate();
        let grouped = numbers::grouped(
            all.flat_map(|(number, row)| row.findings.iter().map(move |text| (number, text.as_str()))),
        );
        let tensors = self.rows.iter().filter(|row| !row.findings.is_empty()).count() + self.missing.len();
        let good = tensors == 0;
        html! {
            section #warnings class=(if good { "good" } else { "bad" }) {
                h2 {
                    @if good { "No warnings" } @else {
                        (numbers::counted(tensors as u64, "tensor")) " with warnings"
                    }
                }
                @if good {
                    p {
                        @if self.recipe.is_some() {
                            "No NaN, nothing outside its bounds, no mean and no std more than 5 standard errors from its plan. "
                            code { "fanin verify" } " has the full tests."
                        } @else {
                            "No NaN, no infinity, no matrix of one value or of less than full rank. More can be said with a recipe; "
                            code { "fanin audit" } " tells what the values look like without one."
                        }
                    }
                }
                ul {
                    @for entry in &self.missing { li { (MISSING) ": " bdi { (shown(&entry.name)) } } }
                    @for (text, tensors) in &grouped {
                        li {
                            (text) " "
                            @if tensors.len() > 8 {
                                details { summary { (tensors.len()) " tensors" } (self.links(tensors)) }
                            } @else { (self.links(tensors)) }
                        }
                    }
                }
            }
        }
    }

    fn links(&self, tensors: &[usize]) -> Markup {
        html! {
            span.links {
                @for number in tensors {
                    a href={ "#t" (number) } { bdi { (shown(&self.rows[*number].entry.name)) } } " "
                }
            }
        }
    }

    fn overview(&self) -> Markup {
        let total = self.total();
        let types = self.by_type();
        let metadata = || self.manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe");
        html! {
            section {
                h2 { "Overview" }
                dl.tiles {
                    div { dt { "tensors" } dd { (numbers::count(total.tensors)) } }
                    div { dt { "values" } dd { (numbers::count(total.values)) } }
                    div { dt { "size" } dd { (numbers::bytes(total.bytes)) } }
                    @for (dtype, part) in &types {
                        div {
                            dt { (dtype) }
                            dd { (numbers::counted(part.tensors, "tensor")) }
                            dd.note { (numbers::counted(part.values, "value")) ", " (numbers::bytes(part.bytes)) }
                        }
                    }
                }
                @if metadata().next().is_some() {
                    details {
                        summary { "Metadata" }
                        dl.facts {
                            @for (key, value) in metadata() {
                                dt { bdi { (shown(key)) } }
                                dd { bdi { (shown(value)) } }
                            }
                        }
                    }
                }
                @if let Some(recipe) = self.manifest.metadata("fanin.recipe") {
                    details {
                        summary { "The recipe that the file names as its own" }
                        pre { @for line in recipe.lines() { (shown(line)) "\n" } }
                    }
                }
            }
        }
    }

    fn controls(&self) -> Markup {
        let total = self.rows.len();
        html! {
            div.controls {
                label { "Filter " input #filter type="search" placeholder="attn weight F32" autocomplete="off" spellcheck="false"; }
                label { input #warned type="checkbox"; " with warnings only" }
                label.narrow { "Sort by " select #sort { option value="-1" { "the file's order" } } }
                button #close type="button" hidden { "Close all" }
                output #shown role="status" { (total) " of " (total) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
