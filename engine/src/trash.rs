//! Directories to be deleted later: a removal is one rename, and a thread of its own does the rest.
//!
//! Deleting a layer or a container's files costs milliseconds to minutes, and no request waits for it. The trash lies on
//! the file system of what is thrown into it, as rename(2) demands, and is emptied at start, so that nothing a crash left
//! there stays. Deletion goes through descriptors and never follows a link.

use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use nix::{
    dir::{Dir, Type},
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

/// A directory whose content is deleted in the background.
pub struct Trash {
    path: PathBuf,
    next: AtomicU64,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    names: VecDeque<CString>,
    /// An entry is being deleted.
    busy: bool,
    closing: bool,
}

/// Levels of directories held open at once. Deeper ones are first renamed to the top of the trash.
const OPEN_MAX: usize = 64;

impl Trash {
    /// Opens the trash at `path`, making it when missing, and starts to delete what a former run left there.
    ///
    /// # Errors
    /// The directory cannot be made or read, or the thread not be started.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(path, flags, Mode::empty())?;
        let mut queue = Queue::default();
        let mut next = 0;
        for entry in Dir::openat(&directory, c".", flags, Mode::empty())?.iter() {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                let number = name.to_str().ok().and_then(|text| text.parse::<u64>().ok());
                next = next.max(number.map_or(0, |n| n.saturating_add(1)));
                queue.names.push_back(name);
            }
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        });
        let sweeper = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("trash".into())
            .stack_size(256 * 1024)
            .spawn(move || sweep(&sweeper, &directory))?;
        Ok(Self {
            path: path.to_owned(),
            next: AtomicU64::new(next),
            shared,
            thread: Some(thread),
        })
    }

    /// Moves `victim`, a file or directory on the same file system, into the trash. It is gone when this returns.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn throw(&self, victim: &Path) -> io::Result<()> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        fs::rename(victim, self.path.join(&name))?;
        let name = CString::new(name).expect("a number holds no NUL");
        self.shared.lock().names.push_back(name);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits until everything thrown so far is deleted.
    pub fn wait_empty(&self) {
        let mut queue = self.shared.lock();
        while queue.busy || !queue.names.is_empty() {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Trash {
    /// Ends the thread after the entry it is at. The rest is deleted by the next run.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the sweeper has been printed already; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The queue is consistent at every step, so a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(shared: &Shared, directory: &OwnedFd) {
    loop {
        let name = {
            let mut queue = shared.lock();
            queue.busy = false;
            shared.changed.notify_all();
            loop {
                if queue.closing {
                    return;
                }
                if let Some(name) = queue.names.pop_front() {
                    queue.busy = true;
                    break name;
                }
                queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // What cannot be deleted now (still mounted, say) is tried again at the next start.
        let _ = delete(directory.as_fd(), &name);
    }
}

/// Deletes `name` in `top` with everything below it. Holds at most [`OPEN_MAX`] directories open, whatever the depth.
fn delete(top: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
    let mut waiting = vec![name.to_owned()];
    let mut deep = 0_u64;
    while let Some(name) = waiting.pop() {
        let mut levels: Vec<Level> = Vec::new();
        if let Some(level) = remove_or_open(top, &name)? {
            levels.push(level);
        }
        while let Some(level) = levels.last_mut() {
            let Some(entry) = level.entries.next() else {
                let level = levels.pop().expect("the level just looked at");
                let above = levels.last().map_or(top, |l| l.fd.as_fd());
                unlinkat(above, level.name.as_c_str(), UnlinkatFlags::RemoveDir)?;
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if entry.file_type() != Some(Type::Directory) {
                match unlinkat(&level.fd, name, UnlinkatFlags::NoRemoveDir) {
                    Err(Errno::EISDIR) => {}
                    done => {
                        done?;
                        continue;
                    }
                }
            }
            let (name, depth) = (name.to_owned(), levels.len());
            let fd = levels.last().map_or(top, |l| l.fd.as_fd());
            if depth < OPEN_MAX {
                if let Some(level) = remove_or_open(fd, &name)? {
                    levels.push(level);
                }
                continue;
            }
            let moved = loop {
                deep += 1;
                let moved = CString::new(format!("deep-{deep}")).expect("a number holds no NUL");
                match renameat(fd, name.as_c_str(), top, moved.as_c_str()) {
                    // Left by a former run; it is in the queue itself.
                    Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
                    done => break done.map(|()| moved),
                }
            }?;
            waiting.push(moved);
        }
    }
    Ok(())
}

struct Level {
    name: CString,
    fd: OwnedFd,
    entries: nix::dir::OwningIter,
}

/// Removes what is no directory, and opens what is one.
fn remove_or_open(above: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<Level>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = match openat(above, name, flags, Mode::empty()) {
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            unlinkat(above, name, UnlinkatFlags::NoRemoveDir)?;
            return Ok(None);
        }
        Err(Errno::ENOENT) => return Ok(None),
        done => done?,
    };
    let entries = Dir::from_fd(fd.try_clone().map_err(|_| Errno::EMFILE)?)?.into_iter();
    Ok(Some(Level {
        name: name.to_owned(),
        fd,
        entries,
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::image::scratch::Scratch;

    #[test]
    fn deletes_trees_and_leaves_what_links_point_to() {
        let scratch = Scratch::new("trash-tree");
        let outside = scratch.path().join("canary");
        fs::write(&outside, "stays").expect("write");
        let victim = scratch.path().join("victim");
        fs::create_dir_all(victim.join("a/b/c")).expect("mkdir");
        fs::write(victim.join("a/file"), "x").expect("write");
        symlink(&outside, victim.join("a/link")).expect("symlink");
        symlink(scratch.path(), victim.join("a/b/dir")).expect("symlink");
        let trash = Trash::open(&scratch.path().join("trash")).expect("open");
        trash.throw(&victim).expect("throw");
        assert!(!victim.exists());
        trash.wait_empty();
        assert_eq!(fs::read_dir(scratch.path().join("trash")).expect("list").count(), 0);
        assert_eq!(fs::read_to_string(&outside).expect("canary"), "stays");
    }

    #[test]
    fn deletes_trees_deeper_than_it_may_hold_open() {
        let scratch = Scratch::new("trash-deep");
        let victim = scratch.path().join("victim");
        fs::create_dir(&victim).expect("mkdir");
        // Far deeper than a path can name: built from inside out.
        for _ in 0..5 {
            let below: PathBuf = (0..900).map(|_| "d").collect();
            let next = scratch.path().join("next");
            fs::create_dir_all(next.join(&below)).expect("mkdir");
            fs::write(next.join("file"), "x").expect("write");
            fs::rename(&victim, next.join(&below).join("v")).expect("rename");
            fs::rename(&next, &victim).expect("rename");
        }
        let trash = Trash::open(&scratch.path().join("trash")).expect("open");
        trash.throw(&victim).expect("throw");
        trash.wait_empty();
        assert_eq!(fs::read_dir(scratch.path().join("trash")).expect("list").count(), 0);
    }

    #[test]
    fn a_former_runs_rest_is_swept() {
        let scratch = Scratch::new("trash-rest");
        let rest = scratch.path().join("trash/7");
        fs::create_dir_all(rest.join("deep/er")).expect("mkdir");
        let trash = Trash::open(&scratch.path().join("trash")).expect("open");
        trash.wait_empty();
        assert!(!rest.exists());
        fs::write(scratch.path().join("file"), "x").expect("write");
        trash.throw(&scratch.path().join("file")).expect("throw");
        trash.wait_empty();
        assert_eq!(fs::read_dir(scratch.path().join("trash")).expect("list").count(), 0);
    }
}
