//! Every Gatepost configuration and rules file that people copy loads: in `config/`, `examples/` and the README.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use gatepost::config::{Environment, file, rules_file};

/// Names in `{ env: NAME }`, whatever they are: the value is the user's.
fn variables(text: &str) -> Vec<(String, String)> {
    let named =
        text.split("env:").skip(1).filter_map(|rest| rest.trim_start().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
    let mut variables: Vec<_> = named.map(|name| (name.to_owned(), "a-value-of-the-user".to_owned())).collect();
    variables.push(("GATEPOST_SECRET_KEY".to_owned(), "ab".repeat(32)));
    variables
}

fn has(text: &str, keys: &[&str]) -> bool {
    text.lines().any(|line| line.split_once(':').is_some_and(|(key, _)| keys.contains(&key)))
}

/// Loads `text` as what it is, in a directory of its own beside the shipped rules; `false` where it is another program's.
fn load(place: &str, text: &str, directory: Option<&Path>) -> bool {
    let problems = if has(text, &["gates", "admin", "tokens", "accounts", "senders", "oidc"]) {
        let scratch = tempfile::tempdir().unwrap();
        let directory = directory.unwrap_or(scratch.path());
        fs::write(scratch.path().join("rules.yaml"), rules_file::SHIPPED).unwrap();
        let copy = scratch.path().join("gatepost.yaml");
        let path = if directory == scratch.path() {
            fs::write(&copy, text).unwrap();
            copy
        } else {
            directory.join(Path::new(place).file_name().unwrap())
        };
        let mut variables = variables(text);
        variables.push(("GATEPOST_DATA".to_owned(), scratch.path().display().to_string()));
        file::load(Some(&path), &Environment::new(variables)).map(|_| ()).err()
    } else if has(text, &["rules"]) {
        rules_file::load(place.into(), text).map(|_| ()).err()
    } else {
        return false;
    };
    if let Some(problems) = problems {
        panic!("{place}:\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    true
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    paths.flat_map(|path| if path.is_dir() { yaml_files(&path) } else { vec![path].into_iter().filter(is_yaml).collect() }).collect()
}

#[test]
fn every_file_that_is_shipped_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<PathBuf> = ["config", "examples", "nginx", "traefik"].iter().flat_map(|folder| yaml_files(&root.join(folder))).collect();
    let loaded = files.iter().filter(|path| load(&path.display().to_string(), &fs::read_to_string(path).unwrap(), path.parent()));
    assert!(loaded.count() >= 2, "the shipped files were not found");
}

#[test]
fn every_configuration_in_the_readme_loads() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap_or_default();
    for (n, block) in readme.split("```yaml\n").skip(1).enumerate() {
        load(&format!("README.md, block {}", n + 1), block.split("```").next().unwrap_or_default(), None);
    }
}
