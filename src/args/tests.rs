//! Whatever command a page, a comment of an example or a help text names is one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use super::*;

/// Pages, and what stands beside the examples.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md"), root.join("CHANGELOG.md")];
    let mut folders = vec![root.join("docs"), root.join("examples"), root.join("config")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_text =
                path.extension().is_some_and(|extension| ["md", "yaml", "yml", "service", "conf"].iter().any(|known| extension == *known));
            match path.is_dir() {
                true => folders.push(path),
                false if is_text => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// The program's help, and each command's.
fn helps(command: clap::Command, found: &mut Vec<String>) {
    found.push(command.clone().term_width(0).render_long_help().to_string());
    command.get_subcommands().for_each(|command| helps(command.clone(), found));
}

/// The commands in spans of code, and those that a line of its own shows: `# …` and two spaces begin what is said of them.
fn commands(text: &str) -> BTreeSet<String> {
    let (mut found, mut in_fence) = (BTreeSet::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            continue;
        }
        let spans = line.split('`').skip(1).step_by(2).filter(|_| !in_fence);
        let bare = line.trim_start_matches([' ', '#']);
        let shown = bare.split("  ").next().and_then(|line| line.split(" #").next()).filter(|_| bare.len() < line.len() || in_fence);
        for part in spans.chain(shown).flat_map(|text| text.split(['|', ';', '&'])) {
            // variables of the environment may stand before it
            let command = part.split(' ').skip_while(|word| word.is_empty() || word.contains('=')).collect::<Vec<_>>().join(" ");
            if command.starts_with("gatepost ") {
                found.insert(command.trim_end().to_owned());
            }
        }
    }
    found
}

/// The words of a command line, as a shell makes them of quotes and of `$(…)`; a redirection ends it.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars().chain([' ']) {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => quote = Some(')'),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') if !word.is_empty() => words.push(std::mem::take(&mut word)),
            (None, ' ') => {}
            (None, '>' | '<') => break,
            (_, c) => word.push(c),
        }
    }
    // what is left out of a command, and a line that goes on
    words.retain(|word| !["…", "...", "\\"].contains(&word.as_str()));
    words
}

/// Why this is no command. One that is only named, without what it needs, is one.
fn problem(command: &str) -> Option<String> {
    let error = Arguments::try_parse_from(words(command)).err()?;
    let named = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::DisplayVersion,
    ];
    // an option without its value, or with a word in capitals that stands for one
    let is_placeholder = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.bytes().all(|b| b.is_ascii_uppercase()),
        _ => false,
    };
    (!named.contains(&error.kind()) && !is_placeholder).then(|| error.to_string())
}

#[test]
fn every_command_that_pages_and_help_name_is_one() {
    let mut helps_of_all = Vec::new();
    helps(Arguments::command(), &mut helps_of_all);
    let of_helps = helps_of_all.iter().map(|text| ("--help".to_owned(), commands(text)));
    let of_pages = pages().into_iter().map(|path| (path.display().to_string(), commands(&std::fs::read_to_string(&path).unwrap())));
    let named: Vec<(String, String)> =
        of_helps.chain(of_pages).flat_map(|(place, commands)| commands.into_iter().map(move |command| (place.clone(), command))).collect();
    assert!(named.len() > 100 && named.iter().any(|(place, _)| place == "--help"), "{}", named.len());
    let wrong: Vec<String> =
        named.iter().filter_map(|(place, command)| problem(command).map(|problem| format!("{place}: `{command}`\n{problem}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_command_is_found() {
    let text = "Try `gatepost sing` or `A=b gatepost keys list --everything | gatepost import -`.\n    gatepost explian GET /  as it was\n";
    let found = commands(text);
    assert_eq!(found.iter().filter(|command| problem(command).is_some()).count(), 3, "{found:?}");
    assert_eq!(problem("gatepost explain GET '/a b' --scopes a,b > file"), None);
    assert_eq!(problem("gatepost keys import"), None);
}
