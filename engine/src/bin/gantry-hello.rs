//! `gantry-hello`: the program of the built-in image `gantry/hello`. Says that everything works, from inside.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "Hello from gantry!")?;
    writeln!(out)?;
    writeln!(
        out,
        "This line was written by process {} of container {},",
        std::process::id(),
        host.trim()
    )?;
    writeln!(
        out,
        "which gantryd made of an image, gave namespaces, a root file system and limits of its own,"
    )?;
    writeln!(out, "and whose output came to you through the Docker Remote API.")?;
    out.flush()
}
