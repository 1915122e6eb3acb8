//! Tests of the errors of `fanin init` and `fanin fill`: invalid requests, damaged files, and interruptions. After an
//! error, every existing file must be unchanged, and there must be no new file.

mod fixture;

use fixture::Fixture;
#[cfg(unix)]
use safetensors::SafeTensors;

#[test]
fn an_existing_file_is_replaced_only_with_force_and_a_symbolic_link_is_followed() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("out.safetensors"), "precious").unwrap();
    let arguments = ["init", "r.toml", "--like", "m.json", "-o", "out.safetensors"];
    fixture.refused(&arguments, &["out.safetensors", "exists already", "--force"]);
    assert_eq!(fixture.bytes("out.safetensors"), b"precious");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::os::unix::fs::symlink("out.safetensors", fixture.path("link.safetensors")).unwrap();
        fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "link.safetensors", "--force"]);
        assert!(fixture.path("link.safetensors").is_symlink());
        assert!(SafeTensors::deserialize(&fixture.bytes("out.safetensors")).is_ok());
        let pipe = std::process::Command::new("mkfifo").arg(fixture.path("pipe")).status().unwrap();
        assert!(pipe.success());
        fixture
            .refused(&["fill", "normal", "--shape", "4", "-o", "pipe", "--force"], &["not a regular file"]);
        let mode = |name: &str| fixture.path(name).metadata().unwrap().permissions().mode();
        std::fs::write(fixture.path("plain"), "").unwrap();
        assert_eq!(mode("out.safetensors"), mode("plain"), "a new file has the default permissions");
    }
    fixture.good(&[&arguments[..], &["--force"]].concat());
}

#[test]
fn an_invalid_request_is_an_error_and_writes_no_file() {
    let fixture = Fixture::new();
    let like = ["--like", "m.json", "-o", "out.safetensors"];
    let init = |recipe: &str, needles: &[&str]| {
        std::fs::write(fixture.path("bad.toml"), recipe).unwrap();
        fixture.refused(&[&["init", "bad.toml"], &like[..]].concat(), needles);
    };
    init("[init]\n\"*.bias\" = \"zeros\"", &["no rule matches", "b.weight", "a.weight", "steps"]);
    init("[init]\n\"*\" = \"zeros\"\n\"x.*\" = \"ones\"", &["bad.toml:3:1: ", "unused rule \"x.*\""]);
    init("[init]\n\"*\" = \"nrmal(std=1)\"", &["bad.toml", "did you mean normal?", "^"]);
    init("[init]\n\"*.weight\" = \"normal(std=nan)\"\n\"*\" = \"zeros\"", &["b.weight", "std = NaN"]);
    init(
        "[init]\n\"*.weight\" = \"zeros\"\n\"*\" = \"orthogonal\"",
        &["Only tensors with 2 or more dimensions"],
    );
    init("[init]\n\"*\" = \"zeros\"\n[extra]\n", &["unknown key \"extra\""]);
    init("not toml", &["bad.toml"]);
    fixture.refused(&["init", "gtp2", "-o", "x.safetensors"], &["did you mean gpt2?"]);
    fixture.refused(&["init", "missing.toml", "--like", "m.json", "-o", "x.safetensors"], &["missing.toml"]);
    fixture.refused(&["init", "r.toml", "-o", "x.safetensors"], &["--like"]);
    fixture.refused(&["init", "r.toml", "--like", "m.json"], &["--output"]);
    fixture
        .refused(&["init", "r.toml", "--like", "m.json", "-o", "no/such/x.safetensors"], &["no such folder"]);
    fixture.refused(
        &[&["init", "r.toml", "--set", "n_layers=3"], &like[..]].concat(),
        &["did you mean n_layer?"],
    );
    fixture.refused(&[&["init", "r.toml", "--set", "n_layer"], &like[..]].concat(), &["NAME=NUMBER"]);
    fixture.refused(&[&["init", "r.toml", "--seed", "1.5"], &like[..]].concat(), &["--seed", "whole number"]);
    fixture.refused(&["fill", "normal(std=-1)", "--shape", "4", "-o", "x.safetensors"], &["std = -1"]);
    fixture.refused(&["fill", "normal", "--shape", "4,x4", "-o", "x.safetensors"], &["--shape"]);
    fixture.refused(
        &["fill", "normal", "--shape", "4", "--dtype", "int8", "-o", "x.safetensors"],
        &["unknown dtype"],
    );
    fixture.refused(
        &["fill", "normal", "--shape", "9999999999,9999999999", "-o", "x.safetensors"],
        &["more elements"],
    );
    fixture.refused(
        &["fill", "trunc_normal(method=rejection)", "--shape", "4", "-o", "x.safetensors"],
        &["native stream", "method=rejection"],
    );
    fixture.refused(
        &["fill", "blocks(trunc_normal(method=rejection), normal)", "--shape", "4,2", "-o", "x.safetensors"],
        &["native stream", "method=rejection"],
    );
}

#[test]
fn damaged_files_are_errors() {
    let fixture = Fixture::new();
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "good.safetensors"]);
    let good = fixture.bytes("good.safetensors");
    let length = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let two = |a: &str, b: &str| {
        let tensor =
            |offsets: &str| format!(r#"{{"dtype": "F32", "shape": [1], "data_offsets": {offsets}}}"#);
        [header(&format!(r#"{{"a": {}, "b": {}}}"#, tensor(a), tensor(b))), vec![0; 8]].concat()
    };
    let cases: [(Vec<u8>, &str); 12] = [
        (Vec::new(), "an empty file"),
        (vec![1, 2, 3], "3 bytes"),
        (good[..good.len() - 1].to_vec(), "truncated"),
        ([&good[..], &[0]].concat(), "follow the header"),
        (good[..length].to_vec(), "the header should have"),
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "the header should have"),
        (header("\u{1}\u{2}garbage"), "not the JSON"),
        ([&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), "UTF-8"),
        (two("[0, 4]", "[2, 6]"), "overlaps"),
        (two("[0, 4]", "[8, 12]"), "gap"),
        (two("[0, 4]", "[4, 12]"), "data_offsets are [4, 12]"),
        (two("[4, 0]", "[4, 8]"), "data_offsets are [4, 0]"),
    ];
    for (bytes, needle) in cases {
        std::fs::write(fixture.path("bad.safetensors"), bytes).unwrap();
        fixture.refused(&["inspect", "bad.safetensors"], &["bad.safetensors", needle]);
        let message = fixture
            .refused(&["init", "r.toml", "--like", "bad.safetensors", "-o", "o.safetensors"], &[needle]);
        assert!(!message.contains("panicked"), "{message}");
    }
    // A folder without safetensors files is not a checkpoint.
    std::fs::create_dir(fixture.path("empty")).unwrap();
    fixture.refused(&["inspect", "empty"], &["no safetensors file in this folder"]);
    fixture.refused(&["inspect", "nothing.safetensors"], &["nothing.safetensors"]);
}

/// Runs the shell commands `shell`, then starts `fanin fill`, which writes `values` values. Waits until the temporary
/// file is larger than a megabyte.
#[cfg(unix)]
fn start(fixture: &Fixture, shell: &str, values: &str) -> std::process::Child {
    let program = Fixture::program().display().to_string();
    let command =
        format!("{shell} exec '{program}' fill normal --shape {values} -o out.safetensors --force -q");
    let mut child = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(fixture.path("."))
        .spawn()
        .unwrap();
    let is_started = |(path, size): &(std::path::PathBuf, u64)| {
        path.extension().is_some_and(|extension| extension == "unfinished") && *size > 1_000_000
    };
    while !fixture.files().iter().any(is_started) {
        assert!(child.try_wait().unwrap().is_none(), "the process ended before it could be interrupted");
        std::thread::yield_now();
    }
    child
}

/// Sends the signal `name` to a process.
#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let status = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Returns true if the test process ignores the signal `number`, for example under `nohup`. Its child processes then
/// ignore the signal too.
#[cfg(unix)]
fn is_ignored(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_leaves_the_old_file_and_no_temporary_file() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("out.safetensors"), "old").unwrap();
    let before = fixture.files();
    // SIGHUP is handled only on Linux, because only there the process can read which signals were ignored at its start.
    let hangup: &[_] = if cfg!(target_os = "linux") { &[("-HUP", 129)] } else { &[] };
    for (name, code) in [("-INT", 130), ("-TERM", 143)].iter().chain(hangup) {
        if is_ignored(code - 128) {
            continue;
        }
        // Writing two gigabytes takes some seconds. `start` returns soon after the write has begun, so the signal
        // interrupts the write.
        let mut child = start(&fixture, "", "500000000");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(*code as i32), "{name}");
        assert_eq!(fixture.files(), before, "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn signals_that_were_ignored_stay_ignored() {
    let fixture = Fixture::new();
    // With `trap ''`, the process starts with SIGHUP and SIGINT ignored. `nohup` also ignores SIGHUP, and background
    // jobs of scripts ignore SIGINT.
    let mut child = start(&fixture, "trap '' HUP INT;", "100000000");
    signal(&child, "-HUP");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(fixture.path("out.safetensors").metadata().unwrap().len() > 400_000_000);
    // SIGTERM is not ignored, so it stops the process.
    let mut child = start(&fixture, "trap '' HUP INT;", "500000000");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
#[cfg(unix)]
fn a_file_that_replaces_another_file_keeps_the_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let mode = |name: &str| fixture.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(fixture.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let write = |more: &[&str]| {
        let init = ["init", "r.toml", "--like", "m.json", "--force", "-q", "-o"];
        fixture.good(&[&init[..], more].concat());
    };
    for wanted in [0o600, 0o664, 0o444, 0o640] {
        std::fs::write(fixture.path("one.safetensors"), "old").unwrap();
        set("one.safetensors", wanted);
        write(&["one.safetensors"]);
        assert_eq!(mode("one.safetensors"), wanted);
        std::fs::remove_file(fixture.path("one.safetensors")).unwrap();
    }
    let shards = ["out", "--max-shard-size", "1KB"];
    write(&shards);
    let all: Vec<String> = std::fs::read_dir(fixture.path("out"))
        .unwrap()
        .map(|entry| format!("out/{}", entry.unwrap().file_name().display()))
        .collect();
    all.iter().for_each(|name| set(name, 0o600));
    write(&shards);
    assert!(all.len() > 2 && all.iter().all(|name| mode(name) == 0o600), "{all:?}");
}

#[test]
fn a_folder_with_the_name_of_the_index_is_an_error_before_files_are_written() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.path("out/model.safetensors.index.json")).unwrap();
    let init = ["init", "r.toml", "--like", "m.json", "--max-shard-size", "1KB", "-o", "out"];
    for more in [&["--force"][..], &["--resume"], &["--part", "1/2", "--force"]] {
        fixture.refused(&[&init[..], more].concat(), &["index.json", "not a regular file"]);
        assert_eq!(std::fs::read_dir(fixture.path("out")).unwrap().count(), 1, "{more:?}");
    }
}

#[test]
fn an_output_that_is_not_a_regular_file_is_an_error_with_a_remedy() {
    let fixture = Fixture::new();
    let fill = |output: &[&str], needles: &[&str]| {
        fixture.refused(&[&["fill", "normal", "--shape", "4"], output].concat(), needles)
    };
    fill(&["-o", "-"], &["standard output", "./-"]);
    fill(&["-o", "-dash.st"], &["./-dash.st"]);
    let stderr = fill(&["-o", "--force"], &["after -o"]);
    assert!(!stderr.contains("'-- "), "{stderr}");
    fixture.good(&["fill", "normal", "--shape", "4", "-o", "./-dash.st"]);
    assert!(fixture.path("-dash.st").is_file());
    #[cfg(target_os = "linux")]
    {
        // Standard output of the command is a pipe, which this test reads.
        fill(&["-o", "/dev/stdout"], &["/dev/stdout", "not a regular file", "pipe"]);
        fill(&["-o", "/dev/stdout", "--force"], &["/dev/stdout", "not a regular file"]);
        let stderr =
            fill(&["-o", "/proc/x.safetensors"], &["/proc", "no file can be created in this folder"]);
        assert!(!stderr.contains("disk"), "{stderr}");
    }
}

#[test]
fn a_negative_number_is_reported_as_an_invalid_value() {
    let fixture = Fixture::new();
    let fill = ["fill", "normal", "--shape", "4", "-o", "x.safetensors"];
    let explain = ["explain", "kaiming_normal", "--shape", "4,4"];
    let init = ["init", "r.toml", "--like", "m.json", "-o", "x"];
    let verify = ["verify", "m.json", "--recipe", "r.toml"];
    for (command, option, value, needle) in [
        (&fill[..], "--threads", "-1", "from 1 to 1024"),
        (&init, "--threads", "-8", "from 1 to 1024"),
        (&init, "--max-shard-size", "-5GB", "-5GB"),
        (&fill[..2], "--shape", "-1,4", "is not a size"),
        (&explain[..2], "--shape", "-1", "is not a size"),
        (&explain, "--groups", "-2", "invalid"),
        (&explain, "--layers", "-1,10", "-1 is not in"),
        (&verify, "--alpha", "-0.1", "from 1e-12 to 0.5"),
        (&fill, "--seed", "-x", "-2^63"),
    ] {
        let stderr = fixture.refused(&[command, &[option, value]].concat(), &[option, needle]);
        assert!(!stderr.contains("unexpected argument") && !stderr.contains("'-- "), "{stderr}");
    }
    // An option is never parsed as the value of the option before it.
    let stderr = fixture.refused(&[&fill[..], &["--threads", "--force"]].concat(), &["--threads"]);
    assert!(stderr.contains("a value is required"), "{stderr}");
}

#[test]
fn a_dry_run_lists_the_files_and_reports_the_error_of_a_write() {
    let fixture = Fixture::new();
    fn init<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["init", "r.toml", "--like", "m.json"], more].concat()
    }
    for layout in ["hf", "dcp"] {
        let shards = ["--max-shard-size", "50KB", "--layout", layout];
        let dry_run = fixture.good(&init(&[&shards[..], &["--dry-run", "--json"]].concat()));
        let json: serde_json::Value = serde_json::from_str(&dry_run.stdout).unwrap();
        fixture.good(&init(&[&shards[..], &["-o", layout]].concat()));
        let mut planned: Vec<(String, u64)> = json["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (file["name"].as_str().unwrap().to_owned(), file["bytes"].as_u64().unwrap()))
            .collect();
        planned.sort();
        let entries = std::fs::read_dir(fixture.path(layout)).unwrap().map(|entry| entry.unwrap());
        let mut written: Vec<(String, u64)> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
            .collect();
        written.sort();
        assert_eq!(planned, written);
        assert!(written.len() >= 2, "{written:?}");
        let table = fixture.good(&init(&[&shards[..], &["--dry-run"]].concat())).stdout;
        assert!(written.iter().all(|(name, _)| table.contains(name)), "{table}");
        assert!(table.contains(&format!("{} files, ", written.len())), "{table}");
        // A dry run shows only some of the files if there are many.
        let many = fixture.good(&init(&["--max-shard-size", "1KB", "--layout", "dcp", "--dry-run"])).stdout;
        assert!(many.contains("more") && many.lines().count() < 50, "{many}");
    }
    let before = fixture.files();
    let dry = |more: &[&str]| fixture.good(&init(&[&["--dry-run"], more].concat())).stderr;
    assert_eq!(dry(&["-o", "new.safetensors"]), "");
    for more in [&["-o", "m.json"][..], &["-o", "hf", "--max-shard-size", "50KB"]] {
        let stderr = dry(more);
        assert!(stderr.starts_with("note: ") && stderr.contains("use --force to replace it"), "{stderr}");
        assert_eq!(dry(&[more, &["--force"]].concat()), "");
        assert_eq!(dry(&[more, &["-q"]].concat()), "");
    }
    assert!(dry(&["-o", "no/such.safetensors"]).contains("no such folder"));
    let fill = fixture.good(&["fill", "normal", "--shape", "4", "--dry-run", "-o", "m.json"]).stderr;
    assert!(fill.contains("note: ") && fill.contains("m.json"), "{fill}");
    assert_eq!(fixture.files(), before);
}

#[test]
#[cfg(unix)]
fn a_limit_on_file_sizes_is_an_error_and_leaves_no_file() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("out.safetensors"), "old").unwrap();
    let before = fixture.files();
    let program = Fixture::program().display().to_string();
    // The complete file has 40 MB. The limit is about 5 or 10 MB, because shells use a unit of 512 or 1024 bytes.
    let command =
        format!("ulimit -f 10000; '{program}' fill normal --shape 10000000 -o out.safetensors --force");
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(fixture.path("."))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the maximum file size") && stderr.contains("out.safetensors"), "{stderr}");
    // The message states the number of bytes that were written. This number equals the limit.
    assert!(stderr.contains("after 5.1 MB") || stderr.contains("after 10.2 MB"), "{stderr}");
    assert_eq!(fixture.files(), before);
}

#[test]
#[cfg(unix)]
fn a_path_that_the_operating_system_rejects_is_an_error_before_files_are_written() {
    let fixture = Fixture::new();
    let long = format!("{}.safetensors", "l".repeat(250));
    fixture.refused(&["fill", "normal", "--shape", "4", "-o", &long], &["cannot write to lll"]);
    fixture.refused(
        &["fill", "normal", "--shape", "4", "-o", "r.toml/x.safetensors"],
        &["r.toml", "is not a folder"],
    );
    // The file names have the maximum length, or contain spaces, quotes, an emoji, a line break, or bytes that are not
    // UTF-8.
    use std::os::unix::ffi::OsStrExt as _;
    let name = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_owned();
    let longest = format!("{}.safetensors", "l".repeat(243));
    let names =
        [longest.as_bytes(), b"a b'\"$.safetensors", "ü😀.safetensors".as_bytes(), b"a\nb.safetensors"];
    // On macOS, all file names are UTF-8, so the name that is not UTF-8 is tested only on Linux.
    let not_utf8: &[&[u8]] = if cfg!(target_os = "linux") { &[b"bad\xff.safetensors"] } else { &[] };
    for bytes in names.iter().chain(not_utf8) {
        let run = |arguments: &[&str]| {
            let mut command = std::process::Command::new(Fixture::program());
            command.current_dir(fixture.path(".")).args(arguments).arg(name(bytes)).output().unwrap()
        };
        for arguments in [
            &["fill", "normal", "--shape", "4", "-q", "-o"][..],
            &["inspect"],
            &["inspect", "--html", "r.html"],
        ] {
            let output = run(arguments);
            assert!(output.status.success(), "{bytes:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_not_an_error() {
    let fixture = Fixture::new();
    let program = Fixture::program().display().to_string();
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("'{program}' models gpt2-xl --manifest | head -n 1; '{program}' models | true"),
        ])
        .current_dir(fixture.path("."))
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
