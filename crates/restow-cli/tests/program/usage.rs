//! The command line itself: help, completions, manual pages, and what is wrong.

use crate::support::Place;

const COMMANDS: [&str; 18] = [
    "demo",
    "fetch",
    "get",
    "show",
    "ls",
    "rm",
    "purge",
    "stats",
    "doctor",
    "migrate",
    "copy",
    "export",
    "import",
    "schema",
    "explain",
    "routes",
    "completions",
    "man",
];

#[test]
fn help_names_every_command_and_exit_code() {
    let place = Place::new();
    let help = place.ok(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let of = place.ok(&[command, "--help"]);
        assert!(of.contains("Usage: restow"), "{of}");
    }
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
    assert!(place.ok(&["--version"]).starts_with("restow 0."));
}

#[test]
fn completions_are_written_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.ok(&["completions", shell]);
        assert!(
            script.contains("restow") && script.contains("explain"),
            "{shell}"
        );
    }
    place.fails(&["completions", "tcl"], 2, "tcl");
}

#[test]
fn manual_pages_are_written_for_the_program_and_each_command() {
    let place = Place::new();
    let page = place.ok(&["man"]);
    assert!(
        page.contains(".TH restow 1") && page.contains("Exit codes"),
        "{page}"
    );
    place.ok(&["man", "pages/man1"]);
    for command in COMMANDS {
        assert!(
            place
                .path(&format!("pages/man1/restow-{command}.1"))
                .exists(),
            "{command}"
        );
    }
    place.write("file", "");
    place.fails(&["man", "file"], 3, "cannot be written into file");
}

#[test]
fn what_is_wrong_is_exit_2_and_says_what_to_write() {
    let place = Place::new();
    for (arguments, says) in [
        (&["fetch"][..], "<URL>"),
        (
            &["fetch", "http://a.example/{id}"],
            "neither a range nor a list",
        ),
        (
            &["fetch", "http://a.example/{1..x}"],
            "is not a whole number",
        ),
        (&["fetch", "--jobs", "0", "http://a.example/"], "--jobs"),
        (
            &["fetch", "--rate", "fast", "http://a.example/"],
            "write 10/s, 100/m or 5000/h",
        ),
        (
            &["fetch", "--mode", "lively", "http://a.example/"],
            "the modes are live, revalidate",
        ),
        (
            &["fetch", "-H", "nonsense", "http://a.example/"],
            "write 'Name: value'",
        ),
        (
            &[
                "fetch",
                "--bearer-env",
                "NOT_SET_AT_ALL",
                "http://a.example/",
            ],
            "\"NOT_SET_AT_ALL\" of --bearer-env is not set",
        ),
        (
            &["fetch", "--config", "none.toml", "http://a.example/"],
            "the configuration none.toml cannot be read",
        ),
        (&["explain", "nonsense"], "is not a URL"),
        (&["unknown"], "unrecognized subcommand"),
        (&["ls", "-q", "-v"], "cannot be used with"),
    ] {
        place.fails(arguments, 2, says);
    }
    assert!(
        !place.path("restow.db").exists(),
        "what is wrong makes no file"
    );
}

#[test]
fn https_needs_no_setting_up() {
    // Nobody listens there: what matters is that the program gets as far as connecting.
    let done = Place::new().fails(&["fetch", "https://127.0.0.1:1/"], 5, "the URL failed");
    assert!(done.out.contains("tcp connect error"), "{}", done.out);
}

#[test]
fn a_fetch_with_a_bad_url_fails_that_url_only() {
    let place = Place::new();
    let done = place.fails(&["fetch", "nonsense"], 5, "the URL failed");
    assert!(done.out.contains("it is not a whole URL"), "{}", done.out);
}
