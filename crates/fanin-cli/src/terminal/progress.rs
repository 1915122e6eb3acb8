//! A bar on standard error, where a person watches.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use fanin_checkpoint::Progress;
use fanin_recipe::text;

/// Progress through a number of bytes. Silent in a pipe and when quiet.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    values: Arc<AtomicU64>,
}

impl Bar {
    /// A bar over so many bytes.
    pub fn new(what: &str, bytes: u64, quiet: bool) -> Self {
        let values = Arc::new(AtomicU64::new(0));
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), values };
        }
        let bar = ProgressBar::new(bytes).with_message(what.to_owned());
        let counted = Arc::clone(&values);
        let rate = move |state: &ProgressState, out: &mut dyn Write| {
            let values = counted.load(Ordering::Relaxed) as f64;
            _ = write!(out, "{} values/s", text::rough(values / state.elapsed().as_secs_f64().max(1e-3)));
        };
        let style = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}, {values_per_sec}  \
                     {eta} left";
        let style = ProgressStyle::with_template(style).expect("the template is tested by being used");
        bar.set_style(style.with_key("values_per_sec", rate));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, values }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn add(&self, values: u64, bytes: u64) {
        self.values.fetch_add(values, Ordering::Relaxed);
        self.bar.inc(bytes);
    }
}
