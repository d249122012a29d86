//! Printed files: shown one after another, or written into a directory.

use std::fmt::Write;
use std::path::Path;

/// A file that the proxy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, without a directory.
    pub name: &'static str,
    /// What it says.
    pub text: String,
}

/// All of them as one text; with their names where there are several.
pub fn shown(files: &[File]) -> String {
    let mut text = String::new();
    for file in files {
        if files.len() > 1 {
            let comment = if has_end(file.name, "lua") { "--" } else { "#" };
            let _ = writeln!(text, "{comment} ======== {} ========", file.name);
        }
        text.push_str(&file.text);
        if files.len() > 1 {
            text.push('\n');
        }
    }
    text
}

/// Writes them; returns a line about each. A file that is there and differs is kept unless `force`.
///
/// # Errors
/// What cannot be written, and which files differ; then nothing was written.
pub fn write(files: &[File], directory: &Path, force: bool) -> Result<String, String> {
    let mut told = String::new();
    let mut to_write = Vec::new();
    let mut kept = Vec::new();
    for file in files {
        let path = directory.join(file.name);
        match std::fs::read(&path) {
            Ok(there) if there == file.text.as_bytes() => {
                let _ = writeln!(told, "{}: as it was", path.display());
            }
            Ok(_) if !force => kept.push(path.display().to_string()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(format!("`{}`: {error}", path.display())),
            _ => to_write.push((path, file)),
        }
    }
    if !kept.is_empty() {
        return Err(format!("there already, and different: {}; nothing was written, --force writes over them", kept.join(", ")));
    }
    for (path, file) in to_write {
        std::fs::write(&path, &file.text).map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
        let _ = writeln!(told, "{}: written", path.display());
    }
    Ok(told)
}

fn has_end(name: &str, end: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == end)
}
