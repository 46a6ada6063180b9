//! Where the numbers and the picture go: files that are there as a whole or not at all, devices,
//! and standard output.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The path that means standard output.
const STDOUT: &str = "-";
/// More links than this in a row lead in a circle.
const LINKS_MAX: usize = 40;

/// The outputs of a job, which lead to different places.
#[derive(Debug)]
pub struct Outputs {
    pub json: Option<Output>,
    pub picture: Output,
}

/// One output, ready to be written.
#[derive(Debug)]
pub struct Output {
    /// As errors and the table name it.
    name: String,
    target: Target,
}

/// What is written to.
#[derive(Debug)]
enum Target {
    Stdout,
    /// A file, there or not, that is replaced.
    File(PathBuf),
    /// A device or a pipe. It stays open, so that who reads a pipe waits for the end of the job.
    Device(File),
}

/// Where a path leads.
enum Place {
    Stdout,
    File(PathBuf),
    Device(PathBuf),
}

impl Outputs {
    /// Sees before the work begins that both can be written after it. Leaves no trace, and waits
    /// for somebody to read if a path leads to a named pipe.
    pub fn open(json: Option<&Path>, picture: &Path) -> Result<Self, Failure> {
        let json_place = json.map(|json| place("--json", json)).transpose()?;
        let picture_place = place("--picture", picture)?;
        if let (Some(json), Some(json_place)) = (json, &json_place)
            && json_place.is(&picture_place)
        {
            let (json, picture) = (json.display(), picture.display());
            let rule = match json_place {
                Place::Stdout => "both lead to standard output; only one of them may",
                Place::File(_) => "lead to one file; each needs a file of its own",
                Place::Device(_) => "lead to one device or pipe; each needs one of its own",
            };
            return Err(Failure::Value(format!("--json {json} and --picture {picture} {rule}")));
        }
        let json = json.zip(json_place).map(|(path, place)| Output::open(path, place));
        Ok(Self { json: json.transpose()?, picture: Output::open(picture, picture_place)? })
    }

    /// Whether one of them needs standard output for itself.
    pub fn take_stdout(&self) -> bool {
        let mut all = self.json.iter().chain([&self.picture]);
        all.any(|output| matches!(output.target, Target::Stdout))
    }
}

impl Output {
    fn open(path: &Path, place: Place) -> Result<Self, Failure> {
        let target = match place {
            Place::Stdout => Ok(Target::Stdout),
            Place::File(file) => {
                tempfile::tempfile_in(directory(&file)).map(|_| Target::File(file))
            }
            Place::Device(device) => {
                OpenOptions::new().write(true).open(device).map(Target::Device)
            }
        };
        let target = target.map_err(|error| unwritable(path, &error))?;
        let name = match target {
            Target::Stdout => "standard output".to_owned(),
            _ => path.display().to_string(),
        };
        Ok(Self { name, target })
    }

    /// As the table names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes all of it: `bytes`.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let answer = match &self.target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Target::File(path) => replace(path, bytes),
            Target::Device(device) => {
                let mut device = device;
                device.write_all(bytes)
            }
        };
        answer.map_err(|error| {
            let (length, name) = (bytes.len(), &self.name);
            Failure::World(format!("cannot write {length} bytes to {name}: {error}"))
        })
    }
}

impl Place {
    /// Whether what is written to one is lost by writing to the other, or mixed with it.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdout, Self::Stdout) => true,
            (Self::File(path), Self::File(other)) => {
                path == other || node_at(path).is_some_and(|node| Some(node) == node_at(other))
            }
            (Self::Device(path), Self::Device(other)) => {
                let node = node_at(path);
                node.is_some() && node == node_at(other) && !is_null(path)
            }
            _ => false,
        }
    }
}

/// Where the path of an option leads. A file that is standard output already is not replaced.
fn place(option: &str, path: &Path) -> Result<Place, Failure> {
    if path == Path::new(STDOUT) {
        return Ok(Place::Stdout);
    }
    let found = resolve(path).map_err(|error| unwritable(path, &error))?;
    let (file, is_file) = match &found {
        Place::Stdout => return Ok(found),
        Place::File(file) => (file, true),
        Place::Device(device) => (device, false),
    };
    let node = node_at(file);
    if node.is_some() && node == node_of_stream(&io::stdout()) && !is_null(file) {
        return Ok(Place::Stdout);
    }
    if is_file && node.is_some() && node == node_of_stream(&io::stderr()) {
        return Err(Failure::Value(format!(
            "{option} {} leads to the file of standard error; it needs a file of its own",
            path.display()
        )));
    }
    Ok(found)
}

fn resolve(path: &Path) -> io::Result<Place> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // Replacing a link would not change what it leads to.
        Ok(metadata) if metadata.is_file() => Ok(Place::File(fs::canonicalize(path)?)),
        Ok(_) => Ok(Place::Device(path.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::File(file_to_be(path)?)),
        Err(error) => Err(error),
    }
}

/// The file that `path` will lead to once it is there, in a directory that is there.
fn file_to_be(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(to) => path = directory(&path).join(to),
            Err(_) => {
                // `Path` does not show that a name ends with a slash.
                let is_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
                let name = path.file_name().filter(|_| !is_directory);
                let name = name.ok_or(io::ErrorKind::IsADirectory)?;
                return Ok(fs::canonicalize(directory(&path))?.join(name));
            }
        }
    }
    Err(io::Error::other("too many links"))
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
    // Some file systems find out only now that they are full.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::World(format!("cannot write {}: {error}", path.display()))
}

/// What tells a file from all others, whatever its name.
type Node = (u64, u64);

fn node_at(path: &Path) -> Option<Node> {
    fs::metadata(path).ok().as_ref().and_then(node)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such number")]
fn node(metadata: &Metadata) -> Option<Node> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn node(_: &Metadata) -> Option<Node> {
    None
}

#[cfg(unix)]
fn node_of_stream(stream: &impl std::os::fd::AsFd) -> Option<Node> {
    let handle = stream.as_fd().try_clone_to_owned().ok()?;
    File::from(handle).metadata().ok().as_ref().and_then(node)
}

#[cfg(not(unix))]
fn node_of_stream<S>(_: &S) -> Option<Node> {
    None
}

/// Whether it takes everything and keeps nothing: then several outputs may share it.
#[cfg(unix)]
fn is_null(path: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let device = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        metadata.file_type().is_char_device().then(|| metadata.rdev())
    };
    let null = device(Path::new("/dev/null"));
    null.is_some() && null == device(path)
}

#[cfg(not(unix))]
fn is_null(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        Outputs::open(None, path)?.picture.write(bytes)
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for text in ["first", "second"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_and_what_lies_in_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["", "none/file", "file/", ".", "none/.."];
        for path in names.map(|name| dir.path().join(name)) {
            let text = Outputs::open(None, &path).unwrap_err().to_string();
            assert!(text.starts_with(&format!("cannot write {}: ", path.display())), "{text}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_gone_after_the_work_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let outputs = Outputs::open(None, &path).unwrap();
        drop(dir);
        let text = outputs.picture.write(b"1234").unwrap_err().to_string();
        let start = format!("cannot write 4 bytes to {}: ", path.display());
        assert!(text.starts_with(&start), "{text}");
    }
}
