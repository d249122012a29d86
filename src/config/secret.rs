//! Secrets in the configuration: never in the file itself, always `{ env: NAME }` or `{ file: PATH }`, or the value
//! of the variable that stands for the key itself (`GATEPOST_SECRET_KEY`, `GATEPOST_GATES_0_SECRET`).

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{SecretSource, values};

/// Where a secret is to be found.
pub(super) enum Source {
    /// The variable's value.
    Variable(String, SecretString),
    /// A file, as written.
    File(PathBuf),
}

/// Which of the two is written, and the variable's value.
pub(super) fn source(field: &Field<'_>) -> Option<Source> {
    const HOW: &str = "write { env: NAME } or { file: PATH }";
    let field = field.whole();
    let (env, file) = (field.key("env"), field.key("file"));
    if field.is_set_by_variable() {
        let name = field.variable_name();
        if let Some(other) = [env, file].iter().find(|other| other.is_set_by_variable()) {
            other.problem(Complaint::new(format!("{name} is set as well"), "keep one of them"));
        }
        return variable(&field, name);
    }
    match field.shape() {
        Shape::Mapping => {}
        Shape::Absent => return None,
        // whoever writes a secret into the file should not see it again in the log
        _ => {
            field.problem(Complaint::new("a secret cannot stand in the file itself", HOW));
            return None;
        }
    }
    field.mapping(&["env", "file"]);
    let written = |field: &Field<'_>| field.shape() != Shape::Absent;
    let takes_variable = match (written(&env), written(&file)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) if env.is_set_by_variable() != file.is_set_by_variable() => env.is_set_by_variable(),
        (true, true) => {
            field.problem(Complaint::new("both env and file", "keep one of them"));
            return None;
        }
        (false, false) => {
            field.problem(Complaint::new("neither env nor file", HOW));
            return None;
        }
    };
    if takes_variable {
        let name = env.read(values::text)?;
        variable(&env, name)
    } else {
        file.read(values::path).map(Source::File)
    }
}

fn variable(field: &Field<'_>, name: String) -> Option<Source> {
    match field.document().variable(&name) {
        Some(value) if !value.is_empty() => {
            let value = SecretString::from(value);
            Some(Source::Variable(name, value))
        }
        Some(_) => {
            field.problem(Complaint::new(format!("the environment variable `{name}` is empty"), "give it the secret"));
            None
        }
        None => {
            field.problem(Complaint::new(format!("the environment variable `{name}` is not set"), "set it, or name another"));
            None
        }
    }
}

/// The secret itself: one line of text. Files are relative to `data`; a line end at the end does not count.
pub(super) fn text(field: &Field<'_>, data: Option<&Path>) -> Option<SecretString> {
    match text_or_file_to_make(field, data, false)? {
        SecretSource::Text(text) => Some(text),
        SecretSource::File(_) => None,
    }
}

/// As [`text`]; but a file that is not there is no problem where `makes` says that the start makes it.
pub(super) fn text_or_file_to_make(field: &Field<'_>, data: Option<&Path>, makes: bool) -> Option<SecretSource> {
    use secrecy::ExposeSecret;
    let secret = match source(field)? {
        Source::Variable(_, value) => value,
        Source::File(path) => {
            let path = data?.join(path);
            match std::fs::read_to_string(&path) {
                Ok(text) => SecretString::from(text.trim_end_matches(['\r', '\n'])),
                Err(error) if makes && error.kind() == std::io::ErrorKind::NotFound => {
                    let what = format!("`{}` is not there; the start makes it", path.display());
                    field.warning(Complaint::new(what, "let the proxy send what stands there as X-Proxy-Secret"));
                    return Some(SecretSource::File(path));
                }
                Err(error) => {
                    let what = format!("`{}` cannot be read: {error}", path.display());
                    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                    let what_to_do = match error.kind() {
                        std::io::ErrorKind::PermissionDenied => {
                            format!("give it and its directory to the user that this program runs as: chown -R {user}:{group} …")
                        }
                        _ => "put the secret there, readable for this program".to_owned(),
                    };
                    field.problem(Complaint::new(what, what_to_do));
                    return None;
                }
            }
        }
    };
    let value = secret.expose_secret();
    if value.is_empty() || value.chars().any(char::is_control) {
        field.problem(Complaint::new("the secret is not one line of text", "make one with `openssl rand -hex 32`"));
        return None;
    }
    Some(SecretSource::Text(secret))
}

/// A text that may hold a secret: written plainly, or `{ env: … }` or `{ file: … }`.
pub(super) fn plain_or_secret(field: &Field<'_>, data: Option<&Path>) -> Option<SecretString> {
    match field.shape() {
        Shape::Scalar => field.text().map(|text| SecretString::from(&*text)),
        _ => text(field, data),
    }
}
