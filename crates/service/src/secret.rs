//! Secrets: given as a value or as a file that holds it, shown nowhere.

use std::{convert::Infallible, fmt, path::Path, str::FromStr};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::ConfigError;

/// A password or an address that has one. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// What is hidden.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The value as others take it.
    #[must_use]
    pub fn into_inner(self) -> SecretString {
        self.0
    }

    /// The value unless it is empty, else what the file holds (without the line's end that editors add), else nothing.
    pub fn resolve(value: Option<Self>, file: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        let value = value.filter(|value| !value.expose().is_empty());
        let (None, Some(path)) = (&value, file) else {
            return Ok(value);
        };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self(text.trim_end_matches(['\r', '\n']).into()))),
            Err(source) => Err(ConfigError::SecretFile {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[secret] Some([secret])");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_is_read_from_a_file_unless_it_is_given() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "from file").unwrap();
        let read = Secret::resolve(None, Some(file.path())).unwrap().unwrap();
        assert_eq!(read.expose(), "from file");
        let given = Secret::resolve(Some("given".parse().unwrap()), Some(file.path()))
            .unwrap()
            .unwrap();
        assert_eq!(given.expose(), "given");
        let empty = Secret::resolve(Some("".parse().unwrap()), Some(file.path()))
            .unwrap()
            .unwrap();
        assert_eq!(empty.expose(), "from file");
        assert!(Secret::resolve(None, None).unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Secret::resolve(None, Some(Path::new("/no/such/secret"))).unwrap_err();
        assert!(error.to_string().contains("/no/such/secret"), "{error}");
    }
}
