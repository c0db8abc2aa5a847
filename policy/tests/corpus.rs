/*!
The fuzz targets' seeds, replayed on stable, each whole and cut short at every byte.
*/
#![cfg(not(target_family = "wasm"))]
#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::panic;
use std::path::PathBuf;

fn replay(target: &str, body: fn(&[u8])) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz/seeds", target].iter().collect();
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::read(&path).unwrap();
        for length in 0..=data.len() {
            if let Err(error) = panic::catch_unwind(|| body(&data[..length])) {
                eprintln!("the first {length} bytes of {}", path.display());
                panic::resume_unwind(error);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 20, "only {seeds} seeds in {}", folder.display());
}

#[test]
fn documents_of_any_bytes_hold_their_promises() {
    replay("document", bodies::document);
}

#[test]
fn headers_of_any_bytes_hold_their_promises() {
    replay("cookie", bodies::cookie);
}
