//! Files that are there as a whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Sees early whether a file can be written later, without a trace of it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let answer = match Target::of(path) {
        Ok(Target::File(file)) => tempfile::tempfile_in(directory(&file)).map(drop),
        Ok(Target::Device) => fs::OpenOptions::new().write(true).open(path).map(drop),
        Err(error) => Err(error),
    };
    answer.map_err(|error| Failure::World(format!("cannot write {}: {error}", path.display())))
}

/// Writes `bytes` to `path`: to a temporary file beside it first, which then takes its place.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let answer = match Target::of(path) {
        Ok(Target::File(file)) => replace(&file, bytes),
        Ok(Target::Device) => {
            fs::OpenOptions::new().write(true).open(path).and_then(|mut to| to.write_all(bytes))
        }
        Err(error) => Err(error),
    };
    answer.map_err(|error| {
        let (length, path) = (bytes.len(), path.display());
        Failure::World(format!("cannot write {length} bytes to {path}: {error}"))
    })
}

/// Where bytes go.
enum Target {
    /// A file, there or not, that may be replaced.
    File(PathBuf),
    /// A device or a pipe, which is written to as it is.
    Device,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // Replacing a link would not change what it leads to.
            Ok(metadata) if metadata.is_file() => Ok(Self::File(fs::canonicalize(path)?)),
            Ok(_) => Ok(Self::Device),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::File(path.to_path_buf()))
            }
            Err(error) => Err(error),
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets, less the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory(path))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for text in ["first", "second"] {
            check_writable(&path).unwrap();
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_and_what_lies_in_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_path_buf(), dir.path().join("none").join("file")] {
            assert!(check_writable(&path).is_err());
            let text = write(&path, b"1234").unwrap_err().to_string();
            let start = format!("cannot write 4 bytes to {}: ", path.display());
            assert!(text.starts_with(&start), "{text}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
