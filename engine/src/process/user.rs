//! Who the program runs as: `user[:group]` and additional groups, looked up in the container's own files.
//!
//! A string of digits is always a number, and a number is 0 … 2³¹−1: nothing an image writes into its files makes one
//! user another. Lines that are malformed do not exist. Format: passwd(5), group(5); rules and messages as Docker's.

use std::{
    fs::File,
    io::{self, Read},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, SFlag},
};

use super::error::{StartError, Step};
use crate::rootfs::{Root, is};

/// What the program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The supplementary groups; the primary one is among them.
    pub(super) groups: Vec<u32>,
    /// The directory for `HOME`.
    pub(super) home: String,
}

/// Looks up `user` and `group_add` in the files of `root`.
pub(super) fn resolve(root: &Root, user: &str, group_add: &[String]) -> Result<Identity, StartError> {
    let read = |name| read_database(root, name);
    identify(user, group_add, &read("passwd"), &read("group")).map_err(|message| StartError::other(Step::User, message))
}

/// The content of a file, or why there is none; that matters only if a name has to be found in it.
type Database = Result<Vec<u8>, String>;

fn identify(user: &str, group_add: &[String], passwd: &Database, group: &Database) -> Result<Identity, String> {
    let (user, named_group) = user.split_once(':').unwrap_or((user, ""));
    let number = number(if user.is_empty() { "0" } else { user })?;
    let entry = entries(passwd).filter_map(User::parse).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == user,
    });
    let uid = match (number, &entry) {
        (Some(uid), _) => uid,
        (None, Some(entry)) => entry.uid,
        (None, None) => return Err(missing("user", user, passwd, "passwd")),
    };
    let find_group = |wanted: &str| match self::number(wanted)? {
        Some(gid) => Ok(gid),
        None => entries(group)
            .filter_map(Group::parse)
            .find(|entry| entry.name == wanted)
            .map(|entry| entry.gid)
            .ok_or_else(|| missing("group", wanted, group, "group")),
    };
    let mut groups = Vec::new();
    let gid = if named_group.is_empty() {
        entry.as_ref().map_or(0, |entry| entry.gid)
    } else {
        find_group(named_group)?
    };
    groups.push(gid);
    if let (true, Some(entry)) = (named_group.is_empty(), &entry) {
        let member = |group: &Group<'_>| group.members.split(',').any(|member| member == entry.name);
        groups.extend(
            entries(group)
                .filter_map(Group::parse)
                .filter(member)
                .map(|group| group.gid),
        );
    }
    for wanted in group_add {
        groups.push(find_group(wanted)?);
    }
    groups.sort_unstable();
    groups.dedup();
    let home = entry
        .map(|entry| entry.home)
        .filter(|home| !home.is_empty())
        .unwrap_or("/")
        .to_owned();
    Ok(Identity { uid, gid, groups, home })
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> User<'a> {
    /// `name:password:uid:gid:gecos:home:shell`
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?).ok()??;
        let gid = number(fields.next()?).ok()??;
        let home = fields.nth(1).unwrap_or_default();
        Some(Self { name, uid, gid, home })
    }
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    /// `name:password:gid:member,member`
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?).ok()??;
        Some(Self {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    }
}

/// A number, or `None` for a name.
fn number(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= ID_MAX => Ok(Some(id)),
        _ => Err(format!("uids and gids must be in range 0-{ID_MAX}")),
    }
}

fn missing(what: &str, name: &str, database: &Database, file: &str) -> String {
    match database {
        Ok(_) => format!("unable to find {what} {name}: no matching entries in {file} file"),
        Err(reason) => format!("unable to find {what} {name}: {reason}"),
    }
}

fn entries(database: &Database) -> impl Iterator<Item = &str> {
    let bytes = database.as_deref().unwrap_or_default();
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| line.len() <= LINE_BYTES_MAX);
    lines.filter_map(|line| std::str::from_utf8(line).ok()).map(str::trim)
}

/// Reads `/etc/<name>`: a regular file, not through a link, up to a limit. A file that is not there is empty.
fn read_database(root: &Root, name: &str) -> Database {
    let read = || -> io::Result<Vec<u8>> {
        let etc = root.open("/etc", OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&etc, name, flags, Mode::empty())?;
        if !is(&file, SFlag::S_IFREG)? {
            return Err(Errno::EINVAL.into());
        }
        let mut content = Vec::new();
        File::from(file).take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(Errno::EFBIG.into());
        }
        Ok(content)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| format!("open /etc/{name}: {}", super::error::words(&error))),
    }
}

/// The highest user or group.
const ID_MAX: u32 = i32::MAX as u32;
const FILE_BYTES_MAX: u64 = 8 << 20;
const LINE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          bad:x:+0:0::/:\n\
                          worse:x:-1:0::/:\n\
                          huge:x:4294967296:0::/:\n\
                          1000:x:0:0::/root:\n\
                          short:x\n\
                          app:x:1000:1001:App:/home/app:/bin/sh\n\
                          last:x:7:7::";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\naudio:x:11:app\napp:x:1001:\nbroken:x:z:app\n55:x:0:app\n";

    fn identify(user: &str, add: &[&str]) -> Result<(u32, u32, Vec<u32>, String), String> {
        let add: Vec<String> = add.iter().map(|&name| name.to_owned()).collect();
        super::identify(user, &add, &Ok(PASSWD.into()), &Ok(GROUP.into()))
            .map(|found| (found.uid, found.gid, found.groups, found.home))
    }

    #[test]
    fn user_strings_are_resolved() {
        let found = |uid, gid, groups: &[u32], home: &str| Ok((uid, gid, groups.to_vec(), home.to_owned()));
        let no = |text: &str| Err(text.to_owned());
        let range = "uids and gids must be in range 0-2147483647";
        let cases: [(&str, &[&str], _); 18] = [
            ("", &[], found(0, 0, &[0, 10], "/root")),
            ("root", &[], found(0, 0, &[0, 10], "/root")),
            ("app", &[], found(1000, 1001, &[0, 10, 11, 1001], "/home/app")),
            ("1000", &[], found(1000, 1001, &[0, 10, 11, 1001], "/home/app")),
            ("app:audio", &[], found(1000, 11, &[11], "/home/app")),
            ("app:12", &["wheel"], found(1000, 12, &[10, 12], "/home/app")),
            ("4242", &["audio", "99"], found(4242, 0, &[0, 11, 99], "/")),
            (":audio", &[], found(0, 11, &[11], "/root")),
            ("last", &[], found(7, 7, &[7], "/")),
            ("55:55", &[], found(55, 55, &[55], "/")),
            ("2147483647", &[], found(2_147_483_647, 0, &[0], "/")),
            ("2147483648", &[], no(range)),
            ("99999999999999999999", &[], no(range)),
            (
                "bad",
                &[],
                no("unable to find user bad: no matching entries in passwd file"),
            ),
            (
                "+0",
                &[],
                no("unable to find user +0: no matching entries in passwd file"),
            ),
            (
                "huge",
                &[],
                no("unable to find user huge: no matching entries in passwd file"),
            ),
            (
                "app:nobody",
                &[],
                no("unable to find group nobody: no matching entries in group file"),
            ),
            (
                "app",
                &["broken"],
                no("unable to find group broken: no matching entries in group file"),
            ),
        ];
        for (user, add, expected) in cases {
            assert_eq!(identify(user, add), expected, "user {user:?}, groups {add:?}");
        }
    }

    #[test]
    fn an_unreadable_file_matters_for_names_only() {
        let broken: Database = Err("open /etc/passwd: invalid argument".to_owned());
        let empty: Database = Ok(Vec::new());
        let found = super::identify("5:6", &[], &broken, &empty).unwrap();
        assert_eq!((found.uid, found.gid), (5, 6));
        let error = super::identify("app", &[], &broken, &empty).unwrap_err();
        assert_eq!(error, "unable to find user app: open /etc/passwd: invalid argument");
    }

    proptest! {
        #[test]
        fn no_file_makes_a_stranger_root(passwd: Vec<u8>, group: Vec<u8>, user in "[1-9][0-9]{0,8}") {
            let found = super::identify(&user, &[], &Ok(passwd), &Ok(group)).unwrap();
            prop_assert_eq!(found.uid, user.parse::<u32>().unwrap());
        }
    }
}
