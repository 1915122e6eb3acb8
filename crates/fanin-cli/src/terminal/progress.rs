//! A progress bar on standard error.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use fanin_checkpoint::Progress;
use fanin_recipe::text;

/// A progress bar that counts bytes. The bar is hidden if standard error is not a terminal.
#[derive(Debug, Clone)]
pub struct TerminalProgress {
    bar: ProgressBar,
    values: Arc<AtomicU64>,
}

impl TerminalProgress {
    /// Returns a progress bar with the text `label` for an operation on `bytes` bytes. The bar is hidden if `quiet` is
    /// true.
    pub fn new(label: &str, bytes: u64, quiet: bool) -> Self {
        let values = Arc::new(AtomicU64::new(0));
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), values };
        }
        let bar = ProgressBar::new(bytes).with_message(label.to_owned());
        let counted = Arc::clone(&values);
        let rate = move |state: &ProgressState, out: &mut dyn Write| {
            let values = counted.load(Ordering::Relaxed) as f64;
            _ = write!(out, "{} values/s", text::rough(values / state.elapsed().as_secs_f64().max(1e-3)));
        };
        let style = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}, {values_per_sec}  \
                     {eta} left";
        let style = ProgressStyle::with_template(style).expect("the template is valid");
        bar.set_style(style.with_key("values_per_sec", rate));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, values }
    }

    /// Removes the bar from the terminal.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for TerminalProgress {
    fn add(&self, values: u64, bytes: u64) {
        self.values.fetch_add(values, Ordering::Relaxed);
        self.bar.inc(bytes);
    }
}
