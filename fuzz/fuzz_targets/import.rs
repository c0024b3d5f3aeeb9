#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restow_torture::fuzz::insist("import", data));
