//! Where the foreign programs and recordings are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Returns the folder that `scripts/test-env` fills; fills it where a test is run by hand on a machine that has not.
pub(crate) fn test_env() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("RESTOW_TEST_ENV") {
        Some(dir) => dir.into(),
        None => install(),
    })
}

/// Returns the Python that has requests and aiohttp.
pub fn python() -> PathBuf {
    test_env().join("venv/bin/python")
}

fn install() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/test-env");
    let out = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; run ./scripts/test", script.display()));
    assert!(
        out.status.success(),
        "scripts/test-env failed; run ./scripts/test"
    );
    String::from_utf8(out.stdout).unwrap().trim().into()
}
