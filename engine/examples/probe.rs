//! The one program inside the test images: a handful of applets, so that tests need nothing but this static file.
//!
//! `/probe APPLET [ARGUMENT…]`; see `main` for the applets. Not part of the product.

use std::{
    env, fs,
    io::{self, BufRead, Read, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("probe {words:?}: {error}");
            ExitCode::from(99)
        }
    }
}

fn run(words: &[&str]) -> io::Result<u8> {
    match *words {
        ["true"] => Ok(0),
        ["exit", code] => Ok(code.parse().unwrap_or(98)),
        ["echo", ref words @ ..] => say(&(words.join(" ") + "\n")),
        ["answer", text, code] => {
            say(&format!("{text}\n"))?;
            Ok(code.parse().unwrap_or(98))
        }
        ["both", out, err] => {
            say(&format!("{out}\n"))?;
            eprintln!("{err}");
            Ok(0)
        }
        // Standard input to standard output, to its end.
        ["cat"] => {
            io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
            Ok(0)
        }
        // So many bytes of standard input, and no more.
        ["head", count] => {
            let mut input = io::stdin().lock().take(count.parse().unwrap_or(0));
            io::copy(&mut input, &mut io::stdout().lock())?;
            Ok(0)
        }
        ["file", path] => say(&fs::read_to_string(path)?),
        ["list", path] => {
            let mut names: Vec<_> = fs::read_dir(path)?.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            names
                .iter()
                .try_for_each(|name| say(&format!("{}\n", name.to_string_lossy())).map(drop))?;
            Ok(0)
        }
        ["write", path, text] => fs::write(path, text).map(|()| 0),
        ["environment"] => {
            env::vars().try_for_each(|(name, value)| say(&format!("{name}={value}\n")).map(drop))?;
            Ok(0)
        }
        ["directory"] => say(&format!("{}\n", env::current_dir()?.display())),
        // Numbered lines, as fast as they go.
        ["lines", count] => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            (0..count.parse().unwrap_or(0_u64)).try_for_each(|n| writeln!(out, "line {n}"))?;
            out.flush().map(|()| 0)
        }
        // Numbered lines until the end of the world, a few thousand in a second.
        ["flood"] => {
            let mut out = io::stdout().lock();
            for n in 0_u64.. {
                writeln!(out, "line {n}")?;
                thread::sleep(Duration::from_micros(100));
            }
            Ok(0)
        }
        // Zeros until the end of the world, as fast as they go.
        ["zeros"] => loop {
            io::stdout().lock().write_all(&[0; 64 * 1024])?;
        },
        // Says that it is there, and stays.
        ["stay"] => {
            say("here\n")?;
            loop {
                thread::sleep(Duration::from_secs(3600));
            }
        }
        // Says a line for every line it gets: a shell's manners without a shell.
        ["talk"] => {
            say("> ")?;
            for line in io::stdin().lock().lines() {
                match line?.as_str() {
                    "exit" => return Ok(7),
                    "size" => say(&terminal_size()?)?,
                    line => say(&format!("you said {line}\n> "))?,
                };
            }
            Ok(0)
        }
        ["connect", address] => {
            let mut peer = std::net::TcpStream::connect(address)?;
            let mut text = String::new();
            peer.read_to_string(&mut text)?;
            say(&text)
        }
        ["serve", address, text] => {
            let listener = std::net::TcpListener::bind(address)?;
            say("listening\n")?;
            loop {
                listener.accept()?.0.write_all(text.as_bytes())?;
            }
        }
        _ => Err(io::Error::other("no such applet")),
    }
}

fn say(text: &str) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush().map(|()| 0)
}

fn terminal_size() -> io::Result<String> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request writes one `winsize`, which lives through the call.
    if unsafe { libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(format!("size {}x{}\n", size.ws_row, size.ws_col))
}
