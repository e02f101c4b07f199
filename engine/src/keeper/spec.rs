//! The bytes of a [`Spec`] on its way from gantryd to a keeper.
//!
//! Both ends are of one build (a keeper gets exactly one spec, from the gantryd that launches it), so the layout may change at
//! will; its first number tells a mixed installation apart. Every field of `Spec` is named twice below, so a new one
//! does not compile until it is passed on.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::field::{Append, DecodeError, Fields};
use super::wire::SPEC_MAX;
use crate::process::{Bind, Cgroup, NetworkNamespace, Rlimit, Rootfs, Spec};

const LAYOUT: u32 = 1;

pub(super) fn encode(spec: &Spec) -> Vec<u8> {
    let Spec {
        id,
        argv,
        env,
        working_dir,
        user,
        group_add,
        tty,
        open_stdin,
        hostname,
        domainname,
        rootfs: Rootfs {
            lower,
            upper,
            work,
            read_only,
        },
        binds,
        shm_size,
        network,
        cgroup,
        capabilities,
        seccomp,
        masked_paths,
        readonly_paths,
        no_new_privileges,
        oom_score_adj,
        rlimits,
        sysctls,
        log,
    } = spec;
    let mut out = Vec::with_capacity(4096 + seccomp.len());
    out.put_u32(LAYOUT);
    put_text(&mut out, id);
    put_texts(&mut out, argv);
    put_texts(&mut out, env);
    put_text(&mut out, working_dir);
    put_text(&mut out, user);
    put_texts(&mut out, group_add);
    out.put_bool(*tty);
    out.put_bool(*open_stdin);
    out.put_option(hostname.as_deref(), put_text);
    out.put_option(domainname.as_deref(), put_text);
    put_list(&mut out, lower, |out, path| put_path(out, path));
    put_path(&mut out, upper);
    put_path(&mut out, work);
    out.put_bool(*read_only);
    put_list(
        &mut out,
        binds,
        |out,
         Bind {
             source,
             target,
             read_only,
         }| {
            put_path(out, source);
            put_text(out, target);
            out.put_bool(*read_only);
        },
    );
    out.put_u64(*shm_size);
    out.put_u8(match network {
        NetworkNamespace::Host => 0,
        NetworkNamespace::New => 1,
    });
    put_cgroup(&mut out, cgroup);
    out.put_u64(*capabilities);
    out.put_bytes(seccomp);
    put_texts(&mut out, masked_paths);
    put_texts(&mut out, readonly_paths);
    out.put_bool(*no_new_privileges);
    out.put_i32(*oom_score_adj);
    put_list(&mut out, rlimits, |out, Rlimit { resource, soft, hard }| {
        out.put_u32(*resource);
        out.put_u64(*soft);
        out.put_u64(*hard);
    });
    put_list(&mut out, sysctls, |out, (name, value)| {
        put_text(out, name);
        put_text(out, value);
    });
    out.put_option(log.as_deref(), put_path);
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Spec, DecodeError> {
    let mut fields = Fields(bytes);
    let from = &mut fields;
    if from.u32("layout of the settings")? != LAYOUT {
        return Err(DecodeError::Invalid {
            field: "layout of the settings",
        });
    }
    let spec = Spec {
        id: text(from, "id")?,
        argv: texts(from, "argv")?,
        env: texts(from, "env")?,
        working_dir: text(from, "working directory")?,
        user: text(from, "user")?,
        group_add: texts(from, "groups")?,
        tty: from.bool("tty")?,
        open_stdin: from.bool("open stdin")?,
        hostname: from.option("host name", |from| text(from, "host name"))?,
        domainname: from.option("domain name", |from| text(from, "domain name"))?,
        rootfs: Rootfs {
            lower: from.list("layers", SPEC_MAX, |from| path(from, "layer"))?,
            upper: path(from, "upper directory")?,
            work: path(from, "work directory")?,
            read_only: from.bool("read-only root")?,
        },
        binds: from.list("binds", SPEC_MAX, |from| {
            Ok(Bind {
                source: path(from, "source of a bind")?,
                target: text(from, "target of a bind")?,
                read_only: from.bool("read-only bind")?,
            })
        })?,
        shm_size: from.u64("shm size")?,
        network: match from.u8("network")? {
            0 => NetworkNamespace::Host,
            1 => NetworkNamespace::New,
            _ => return Err(DecodeError::Invalid { field: "network" }),
        },
        cgroup: cgroup(from)?,
        capabilities: from.u64("capabilities")?,
        seccomp: from.bytes("seccomp filter", SPEC_MAX)?.to_vec(),
        masked_paths: texts(from, "masked paths")?,
        readonly_paths: texts(from, "read-only paths")?,
        no_new_privileges: from.bool("no new privileges")?,
        oom_score_adj: from.i32("oom score")?,
        rlimits: from.list("rlimits", SPEC_MAX, |from| {
            Ok(Rlimit {
                resource: from.u32("rlimit")?,
                soft: from.u64("soft rlimit")?,
                hard: from.u64("hard rlimit")?,
            })
        })?,
        sysctls: from.list("sysctls", SPEC_MAX, |from| {
            Ok((text(from, "sysctl")?, text(from, "sysctl")?))
        })?,
        log: from.option("log", |from| path(from, "log"))?,
    };
    if fields.0.is_empty() {
        Ok(spec)
    } else {
        Err(DecodeError::Invalid {
            field: "end of the settings",
        })
    }
}

fn put_cgroup(out: &mut Vec<u8>, cgroup: &Cgroup) {
    let Cgroup {
        path,
        memory,
        memory_swap,
        memory_reservation,
        memory_swappiness,
        oom_kill_disable,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpuset_cpus,
        cpuset_mems,
        pids,
        blkio_weight,
    } = cgroup;
    put_text(out, path);
    for value in [
        memory,
        memory_swap,
        memory_reservation,
        memory_swappiness,
        cpu_shares,
        cpu_period,
        pids,
        blkio_weight,
    ] {
        out.put_option(*value, Append::put_u64);
    }
    out.put_bool(*oom_kill_disable);
    out.put_option(*cpu_quota, Append::put_i64);
    out.put_option(cpuset_cpus.as_deref(), put_text);
    out.put_option(cpuset_mems.as_deref(), put_text);
}

fn cgroup(from: &mut Fields<'_>) -> Result<Cgroup, DecodeError> {
    let path = text(from, "cgroup")?;
    let mut number = |field| from.option(field, |from| from.u64(field));
    Ok(Cgroup {
        path,
        memory: number("memory")?,
        memory_swap: number("memory and swap")?,
        memory_reservation: number("memory reservation")?,
        memory_swappiness: number("swappiness")?,
        cpu_shares: number("cpu shares")?,
        cpu_period: number("cpu period")?,
        pids: number("pids")?,
        blkio_weight: number("blkio weight")?,
        oom_kill_disable: from.bool("oom kill")?,
        cpu_quota: from.option("cpu quota", |from| from.i64("cpu quota"))?,
        cpuset_cpus: from.option("cpus", |from| text(from, "cpus"))?,
        cpuset_mems: from.option("mems", |from| text(from, "mems"))?,
    })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_bytes(text.as_bytes());
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    put_list(out, texts, |out, text| put_text(out, text));
}

fn put_path(out: &mut Vec<u8>, path: &Path) {
    out.put_bytes(path.as_os_str().as_bytes());
}

fn put_list<T>(out: &mut Vec<u8>, values: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    out.put_count(values.len());
    values.iter().for_each(|value| put(out, value));
}

fn text(from: &mut Fields<'_>, field: &'static str) -> Result<String, DecodeError> {
    from.text(field, SPEC_MAX).map(str::to_owned)
}

fn texts(from: &mut Fields<'_>, field: &'static str) -> Result<Vec<String>, DecodeError> {
    from.list(field, SPEC_MAX, |from| text(from, field))
}

fn path(from: &mut Fields<'_>, field: &'static str) -> Result<PathBuf, DecodeError> {
    Ok(OsString::from_vec(from.bytes(field, SPEC_MAX)?.to_vec()).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_path() -> impl Strategy<Value = PathBuf> {
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| OsString::from_vec(bytes).into())
    }

    fn any_texts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(".{0,12}", 0..4)
    }

    fn any_cgroup() -> impl Strategy<Value = Cgroup> {
        let numbers = any::<[Option<u64>; 8]>();
        (
            ".{0,20}",
            numbers,
            any::<(bool, Option<i64>)>(),
            proptest::option::of(".{0,9}"),
            proptest::option::of(".{0,9}"),
        )
            .prop_map(
                |(path, n, (oom_kill_disable, cpu_quota), cpuset_cpus, cpuset_mems)| Cgroup {
                    path,
                    memory: n[0],
                    memory_swap: n[1],
                    memory_reservation: n[2],
                    memory_swappiness: n[3],
                    oom_kill_disable,
                    cpu_shares: n[4],
                    cpu_period: n[5],
                    cpu_quota,
                    cpuset_cpus,
                    cpuset_mems,
                    pids: n[6],
                    blkio_weight: n[7],
                },
            )
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        let text = || ".{0,16}";
        let who = (text(), any_texts(), any_texts(), text(), text(), any_texts());
        let flags = any::<(bool, bool, bool, bool, bool, u64, u64, i32)>();
        let names = (
            proptest::option::of(text()),
            proptest::option::of(text()),
            proptest::option::of(any_path()),
        );
        let rootfs = (proptest::collection::vec(any_path(), 0..4), any_path(), any_path());
        let bind = (any_path(), text(), any::<bool>()).prop_map(|(source, target, read_only)| Bind {
            source,
            target,
            read_only,
        });
        let limit = any::<(u32, u64, u64)>().prop_map(|(resource, soft, hard)| Rlimit { resource, soft, hard });
        let lists = (
            proptest::collection::vec(bind, 0..3),
            proptest::collection::vec(any::<u8>(), 0..99),
            any_texts(),
            any_texts(),
            proptest::collection::vec(limit, 0..3),
            proptest::collection::vec((text(), text()), 0..3),
        );
        (who, flags, names, rootfs, lists, any_cgroup()).prop_map(|(who, flags, names, rootfs, lists, cgroup)| Spec {
            id: who.0,
            argv: who.1,
            env: who.2,
            working_dir: who.3,
            user: who.4,
            group_add: who.5,
            tty: flags.0,
            open_stdin: flags.1,
            hostname: names.0,
            domainname: names.1,
            rootfs: Rootfs {
                lower: rootfs.0,
                upper: rootfs.1,
                work: rootfs.2,
                read_only: flags.2,
            },
            binds: lists.0,
            shm_size: flags.5,
            network: if flags.3 {
                NetworkNamespace::Host
            } else {
                NetworkNamespace::New
            },
            cgroup,
            capabilities: flags.6,
            seccomp: lists.1,
            masked_paths: lists.2,
            readonly_paths: lists.3,
            no_new_privileges: flags.4,
            oom_score_adj: flags.7,
            rlimits: lists.4,
            sysctls: lists.5,
            log: names.2,
        })
    }

    proptest! {
        #[test]
        fn a_spec_survives_the_wire(spec in any_spec(), cut in 1usize..99) {
            let bytes = encode(&spec);
            prop_assert_eq!(decode(&bytes), Ok(spec));
            prop_assert!(decode(&bytes[..bytes.len().saturating_sub(cut)]).is_err(), "a cut spec is refused");
            let mut longer = bytes;
            longer.push(0);
            prop_assert!(decode(&longer).is_err(), "a spec with something behind it is refused");
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            spec in any_spec(),
            at in any::<prop::sample::Index>(),
            noise in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let mut bytes = encode(&spec);
            let at = at.index(bytes.len());
            bytes.splice(at..(at + noise.len()).min(encode(&spec).len()), noise);
            let _ = decode(&bytes);
        }
    }
}
