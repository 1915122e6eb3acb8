//! Signal handlers that remove the temporary files when a signal stops the process.

use fanin_checkpoint::remove_temporary_files;

/// Installs handlers for SIGINT, SIGTERM and SIGHUP. A handler removes the temporary files and exits the process.
///
/// On Linux, signals that are ignored when the process starts stay ignored. For example, `nohup` starts processes that
/// ignore SIGHUP. On other Unix systems, no handler for SIGHUP is installed.
///
/// Only the command line installs handlers, because a library must not change the signal handlers of a process.
pub(crate) fn clean_up_when_interrupted() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(install_handlers);
}

/// Removes the temporary files, and exits the process with the exit code `code`.
fn remove_and_exit(code: i32) -> ! {
    let removed = remove_temporary_files();
    if !removed.is_empty() {
        crate::terminal::output::message("interrupted: temporary files were removed");
    }
    // `removed` holds a lock until the process exits, so no other thread can create a temporary file.
    std::process::exit(code)
}

#[cfg(not(unix))]
fn install_handlers() {
    // `set_handler` fails only if a handler is already installed. The existing handler then stays.
    _ = ctrlc::set_handler(|| remove_and_exit(130));
}

#[cfg(unix)]
fn install_handlers() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    // A write beyond the limit of `ulimit -f` sends SIGXFSZ, which kills the process. With this handler, the write
    // returns an error instead.
    _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    let ignored = ignored_signals();
    let handled: Vec<i32> = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|&signal| match ignored {
            Some(mask) => mask >> (signal - 1) & 1 == 0,
            // If the ignored signals are unknown, SIGHUP is not handled, because `nohup` may have started this process.
            None => signal != SIGHUP,
        })
        .collect();
    let (ready, installed) = std::sync::mpsc::channel();
    let work = move || {
        let signals = Signals::new(handled);
        _ = ready.send(());
        if let Some(signal) = signals.ok().and_then(|mut signals| signals.forever().next()) {
            // The exit code is 128 + N, which shells report for a process that was killed by signal N.
            remove_and_exit(128 + signal)
        }
    };
    // If the thread cannot be started, the signals keep their default actions.
    if std::thread::Builder::new().name("fanin-signals".to_owned()).spawn(work).is_ok() {
        _ = installed.recv();
    }
}

/// Returns the ignored signals as a bit mask. Bit `n - 1` is signal `n`. Returns `None` if the ignored signals are
/// unknown, as on all systems other than Linux.
#[cfg(unix)]
fn ignored_signals() -> Option<u64> {
    ignored_mask(&std::fs::read_to_string("/proc/self/status").ok()?)
}

#[cfg(unix)]
fn ignored_mask(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_the_status_of_the_process() {
        assert_eq!(
            ignored_mask("Name:\tfanin\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n"),
            Some(0x1001)
        );
        assert_eq!(ignored_mask("Name:\tfanin\n"), None);
        assert_eq!(ignored_mask("SigIgn:\tnone\n"), None);
    }
}
