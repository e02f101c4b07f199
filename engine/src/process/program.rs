//! Finding the program in the container and executing it.
//!
//! The rules and sentences are those of Docker's runtime (Go's `exec.LookPath`), since clients tell exit codes 126 and
//! 127 from them.

use std::{
    ffi::{CString, OsStr},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::stat::{SFlag, stat},
    unistd::{AccessFlags, access},
};

use super::error::{StartError, StartErrorKind, Step, words};
use crate::sys::program::execute;

/// The path of `name`: itself if it has a slash, else the first match in the directories of `PATH` in `env`. Relative to
/// the working directory, as the user the program runs as.
pub(super) fn find(name: &str, env: &[String]) -> Result<PathBuf, StartError> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                let words = words(&errno.into());
                Err(failure(
                    StartErrorKind::NotFound,
                    errno,
                    format!("exec: {name:?}: stat {name}: {words}"),
                ))
            }
            Err(errno) => {
                let kind = StartErrorKind::NotExecutable;
                Err(failure(
                    kind,
                    errno,
                    format!("exec: {name:?}: {}", words(&errno.into())),
                ))
            }
        };
    }
    let path = env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or_default();
    let mut candidates = path.split(':').map(|directory| {
        // An empty entry is the working directory.
        let directory = if directory.is_empty() { "." } else { directory };
        Path::new(directory).join(name)
    });
    let found = if name.is_empty() {
        None
    } else {
        candidates.find(|candidate| executable(candidate).is_ok())
    };
    found.ok_or_else(|| {
        let message = format!("exec: {name:?}: executable file not found in $PATH");
        failure(StartErrorKind::NotFound, Errno::ENOENT, message)
    })
}

/// Executes it; returns only on failure.
pub(super) fn run(path: &Path, argv: &[CString], env: &[CString]) -> StartError {
    let Ok(file) = CString::new(path.as_os_str().as_bytes()) else {
        return failure(
            StartErrorKind::NotFound,
            Errno::EINVAL,
            format!("exec {}: invalid argument", path.display()),
        );
    };
    failed(path, &execute(&file, argv, env))
}

fn failed(path: &Path, error: &io::Error) -> StartError {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let kind = match errno {
        // The file was there: its interpreter is not.
        Errno::ENOENT | Errno::ENOTDIR => StartErrorKind::NotFound,
        Errno::EACCES | Errno::ENOEXEC | Errno::EISDIR => StartErrorKind::NotExecutable,
        _ => StartErrorKind::Other,
    };
    failure(kind, errno, format!("exec {}: {}", path.display(), words(error)))
}

fn executable(path: &Path) -> Result<(), Errno> {
    let mode = stat(OsStr::new(path))?.st_mode;
    if SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
        return Err(Errno::EACCES);
    }
    access(path, AccessFlags::X_OK)
}

fn failure(kind: StartErrorKind, errno: Errno, message: String) -> StartError {
    StartError::new(kind, Step::Program, errno as i32, message)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn programs_are_found_as_docker_finds_them() {
        let base = std::env::temp_dir().join(format!("gantry-program-{}", std::process::id()));
        for (name, mode) in [
            ("a/plain", 0o644),
            ("a/both", 0o644),
            ("b/both", 0o755),
            ("b/only", 0o755),
        ] {
            let path = base.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let base = base.to_str().unwrap().to_owned();
        let env = vec!["X=1".to_owned(), format!("PATH=/nowhere:{base}/a:{base}/b")];
        let (found, missing, refused) = (
            |path: &str| Ok(path.to_owned()),
            StartErrorKind::NotFound,
            StartErrorKind::NotExecutable,
        );
        let not_in_path = |name: &str| Err((missing, format!("exec: \"{name}\": executable file not found in $PATH")));
        let cases = [
            ("only", found(&format!("{base}/b/only"))),
            ("both", found(&format!("{base}/b/both"))),
            ("plain", not_in_path("plain")),
            ("nosuch", not_in_path("nosuch")),
            ("", not_in_path("")),
            (
                "/nosuch",
                Err((
                    missing,
                    "exec: \"/nosuch\": stat /nosuch: no such file or directory".to_owned(),
                )),
            ),
            (
                "/dev/null/x",
                Err((
                    missing,
                    "exec: \"/dev/null/x\": stat /dev/null/x: not a directory".to_owned(),
                )),
            ),
            ("/tmp/", Err((refused, "exec: \"/tmp/\": permission denied".to_owned()))),
            (
                &format!("{base}/a/plain"),
                Err((refused, format!("exec: \"{base}/a/plain\": permission denied"))),
            ),
        ];
        for (name, expected) in cases {
            let result = find(name, &env).map(|path| path.to_str().unwrap().to_owned());
            assert_eq!(
                result.map_err(|error| (error.kind, error.message)),
                expected,
                "{name:?}"
            );
        }
        assert_eq!(find("only", &[]).unwrap_err().kind, missing);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn refusals_of_the_kernel_have_a_kind() {
        let cases = [
            (
                Errno::ENOENT,
                StartErrorKind::NotFound,
                "exec /x: no such file or directory",
            ),
            (
                Errno::EACCES,
                StartErrorKind::NotExecutable,
                "exec /x: permission denied",
            ),
            (
                Errno::ENOEXEC,
                StartErrorKind::NotExecutable,
                "exec /x: exec format error",
            ),
            (Errno::E2BIG, StartErrorKind::Other, "exec /x: argument list too long"),
        ];
        for (errno, kind, message) in cases {
            let error = failed(Path::new("/x"), &errno.into());
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{errno}");
        }
    }
}
