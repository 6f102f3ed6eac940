//! The page `docs/speed.md`: what runs wrote lies between markers, the rest is
//! written by hand and stays.

use std::path::{Path, PathBuf};

/// Prints the section; with `DEADWALK_BLESS=1` also puts it into the page.
///
/// # Panics
///
/// If the page has no markers of that name.
pub fn publish(section: &str, text: &str) {
    println!("{text}");
    if !blesses() {
        return;
    }
    let page = std::fs::read_to_string(path()).expect("docs/speed.md is readable");
    let (begin, end) = markers(section);
    let (head, rest) = page.split_once(&begin).expect("docs/speed.md has the section's marker");
    let (_, tail) = rest.split_once(&end).expect("docs/speed.md has the section's end marker");
    let page = format!("{head}{begin}\n{}\n{end}{tail}", text.trim_end());
    std::fs::write(path(), page).expect("docs/ is writable");
}

/// Writes the picture, if anything is to be written.
pub fn publish_plot(svg: &str) {
    if blesses() {
        std::fs::write(path().with_extension("svg"), svg).expect("docs/ is writable");
    }
}

/// Whether the documentation is to be written.
pub fn blesses() -> bool {
    std::env::var_os("DEADWALK_BLESS").is_some()
}

fn markers(section: &str) -> (String, String) {
    (format!("<!-- speed:begin {section} -->"), format!("<!-- speed:end {section} -->"))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/speed.md")
}
