//! What becomes of unfinished files when the process is told to end.

use fanin_checkpoint::unfinished::remove_all;

/// Ends the process when it is interrupted, told to end, or its terminal goes away, and removes the temporary files. A
/// signal that was ignored when the process began (`nohup`, a job in the background) stays ignored. For the command
/// line alone: a library leaves its process's signals as they are.
pub(crate) fn clean_up_when_interrupted() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(listen);
}

/// Removes what is unfinished, and ends with this exit code.
fn end(code: i32) -> ! {
    let removed = remove_all();
    if removed.as_ref().is_some_and(|paths| !paths.is_empty()) {
        crate::terminal::output::say("interrupted: what was unfinished is removed");
    }
    // The list stays locked to the end: no file is begun from here on.
    std::process::exit(code)
}

#[cfg(not(unix))]
fn listen() {
    // A handler that is there already is ours.
    _ = ctrlc::set_handler(|| end(130));
}

#[cfg(unix)]
fn listen() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    // Beyond `ulimit -f` the system would end us; with a handler, of whatever kind, writing fails and says why.
    _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    let ignored = ignored();
    let wanted: Vec<i32> = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|&signal| match ignored {
            Some(mask) => mask >> (signal - 1) & 1 == 0,
            // Without knowing, the one that `nohup` is for is left as it is.
            None => signal != SIGHUP,
        })
        .collect();
    let (ready, begun) = std::sync::mpsc::channel();
    let work = move || {
        let signals = Signals::new(wanted);
        _ = ready.send(());
        if let Some(signal) = signals.ok().and_then(|mut signals| signals.forever().next()) {
            // As shells tell of whom a signal has ended.
            end(128 + signal)
        }
    };
    // Without a thread the signals do what they do by themselves.
    if std::thread::Builder::new().name("fanin-signals".to_owned()).spawn(work).is_ok() {
        _ = begun.recv();
    }
}

/// The signals that are ignored, a bit each from the first on, where the system tells: on Linux.
#[cfg(unix)]
fn ignored() -> Option<u64> {
    mask(&std::fs::read_to_string("/proc/self/status").ok()?)
}

#[cfg(unix)]
fn mask(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(
            mask("Name:\tfanin\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n"),
            Some(0x1001)
        );
        assert_eq!(mask("Name:\tfanin\n"), None);
        assert_eq!(mask("SigIgn:\tnone\n"), None);
    }
}
