//! The proxy secrets of the gates. One that is to stand in a file is made at the first start, where everything is embedded: the
//! proxy is then given that file, and nobody has to think of a secret.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use super::StartError;
use crate::config::SecretSource;

/// The secret, made now where its file is not there. Several gates may name one file.
pub(super) fn read_or_make(source: &SecretSource) -> Result<SecretString, StartError> {
    let path = match source {
        SecretSource::Text(text) => return Ok(text.clone()),
        SecretSource::File(path) => path,
    };
    let wrong = |error: std::io::Error| StartError::ProxySecret(format!("{} cannot be made: {error}", path.display()));
    if !path.exists() {
        make(path).map_err(wrong)?;
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    Ok(SecretString::from(text.trim_end()))
}

/// Its directory and the file, for this user and its group alone: a proxy that runs as neither joins the group.
fn make(path: &Path) -> std::io::Result<()> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("the system gave no randomness"))?;
    let mut text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.push('\n');
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy/secret");
        let source = SecretSource::File(path.clone());
        let first = read_or_make(&source).unwrap();
        assert!(first.expose_secret().len() == 64 && first.expose_secret().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(read_or_make(&source).unwrap().expose_secret(), first.expose_secret());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(path.parent().unwrap().metadata().unwrap().permissions().mode().trailing_zeros() > 2, "nobody else may look");
    }

    #[test]
    fn where_it_cannot_be_made_nothing_starts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("proxy"), "a file").unwrap();
        let wrong = read_or_make(&SecretSource::File(folder.path().join("proxy/secret"))).unwrap_err();
        assert!(wrong.to_string().contains("cannot be made"), "{wrong}");
    }
}
