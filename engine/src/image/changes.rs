//! Dockerfile instructions that an import applies to the configuration it makes.
//!
//! Which: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, MAINTAINER, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR, as the
//! Dockerfile reference describes them. `$NAME` and `${NAME}` stand for variables that ENV has set before.

use gantry_core::model::{ContainerConfig, Empty};

use super::{config::ImageConfig, error::ImageError};

/// Applies one instruction (`CMD ["/bin/sh"]`).
pub(crate) fn apply(image: &mut ImageConfig, instruction: &str) -> Result<(), ImageError> {
    let text = instruction.trim();
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let bad = |what| ImageError::BadChange {
        instruction: instruction.to_owned(),
        what,
    };
    match change(image, &verb.to_ascii_uppercase(), rest.trim()) {
        None => Err(ImageError::UnknownChange {
            verb: verb.to_ascii_lowercase(),
        }),
        Some(_) if rest.trim().is_empty() => Err(bad("an instruction without argument")),
        Some(done) => done.map_err(bad),
    }
}

/// `None`: no instruction of this name changes a configuration.
fn change(image: &mut ImageConfig, verb: &str, rest: &str) -> Option<Result<(), &'static str>> {
    Some(match verb {
        "MAINTAINER" => {
            image.author = rest.to_owned();
            Ok(())
        }
        "CMD" | "ENTRYPOINT" | "ENV" | "EXPOSE" | "LABEL" | "ONBUILD" | "STOPSIGNAL" | "USER" | "VOLUME"
        | "WORKDIR" => set(image.config.get_or_insert_default(), verb, rest),
        _ => return None,
    })
}

fn set(config: &mut ContainerConfig, verb: &str, rest: &str) -> Result<(), &'static str> {
    match verb {
        "CMD" => config.cmd = Some(command(rest)?),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)?),
        "ENV" => {
            for (name, value) in pairs(rest, config)? {
                let line = format!("{name}={value}");
                match config.env.iter_mut().find(|l| l.split('=').next() == Some(&name)) {
                    Some(old) => *old = line,
                    None => config.env.push(line),
                }
            }
        }
        "EXPOSE" => {
            for port in words(rest, config)? {
                expose(config, &port)?;
            }
        }
        "LABEL" => {
            let labels = pairs(rest, config)?;
            config.labels.extend(labels);
        }
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(trigger.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                return Err("an instruction that ONBUILD does not take");
            }
            config.on_build.get_or_insert_default().push(rest.to_owned());
        }
        "STOPSIGNAL" => config.stop_signal = single(rest, config)?,
        "USER" => config.user = single(rest, config)?,
        "VOLUME" => {
            let paths = match json_list(rest) {
                Some(list) => list?,
                None => words(rest, config)?,
            };
            if paths.iter().any(|path| path.trim().is_empty()) {
                return Err("an empty path");
            }
            let volumes = config.volumes.get_or_insert_default();
            volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        }
        _ => config.working_dir = join(&config.working_dir, &single(rest, config)?),
    }
    Ok(())
}

/// The exec form as it is, the shell form through `/bin/sh -c`.
fn command(text: &str) -> Result<Vec<String>, &'static str> {
    // What looks like JSON and is none is the shell form, as Docker has it.
    match json_list(text) {
        Some(Ok(list)) => Ok(list),
        _ => Ok(vec!["/bin/sh".into(), "-c".into(), text.into()]),
    }
}

fn json_list(text: &str) -> Option<Result<Vec<String>, &'static str>> {
    text.starts_with('[')
        .then(|| serde_json::from_str(text).map_err(|_| "not a JSON list of strings"))
}

/// `name=value …` with quotes, or `name value`.
fn pairs(text: &str, config: &ContainerConfig) -> Result<Vec<(String, String)>, &'static str> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("a name without value")?;
        return Ok(vec![(name.to_owned(), expand(value.trim(), config)?.concat())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) | None => Err("a value without name"),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    };
    words(text, config)?.into_iter().map(pair).collect()
}

fn single(text: &str, config: &ContainerConfig) -> Result<String, &'static str> {
    match <[String; 1]>::try_from(words(text, config)?) {
        Ok([word]) if !word.is_empty() => Ok(word),
        _ => Err("exactly one argument is needed"),
    }
}

/// Words with quotes and variables resolved.
fn words(text: &str, config: &ContainerConfig) -> Result<Vec<String>, &'static str> {
    expand_words(text, config, true)
}

/// One text with quotes and variables resolved, blanks kept; in pieces.
fn expand(text: &str, config: &ContainerConfig) -> Result<Vec<String>, &'static str> {
    expand_words(text, config, false)
}

fn expand_words(text: &str, config: &ContainerConfig, split: bool) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'', None) | ('"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("a backslash at the end")?;
                let word = word.get_or_insert_default();
                // In double quotes only what has a meaning there can be escaped.
                if quote.is_some() && !matches!(next, '"' | '$' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            ('$', None | Some('"')) => {
                let value = variable(&mut chars, config)?;
                word.get_or_insert_default().push_str(&value);
            }
            (c, None) if c.is_whitespace() && split => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote that does not end");
    }
    words.extend(word);
    Ok(words)
}

/// What follows a `$`: `NAME`, `{NAME}`, `{NAME:-default}` or `{NAME:+instead}`.
fn variable(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    config: &ContainerConfig,
) -> Result<String, &'static str> {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let value = |name: &str| {
        let line = config
            .env
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().to_owned()
    };
    if chars.next_if_eq(&'{').is_none() {
        let mut name = String::new();
        while let Some(c) = chars.next_if(is_name) {
            name.push(c);
        }
        return Ok(if name.is_empty() { "$".to_owned() } else { value(&name) });
    }
    let mut inside = String::new();
    loop {
        match chars.next().ok_or("a variable that does not end")? {
            '}' => break,
            c => inside.push(c),
        }
    }
    let (name, modifier) = match inside.split_once(':') {
        Some((name, modifier)) => (name, Some(modifier)),
        None => (inside.as_str(), None),
    };
    if name.is_empty() || !name.chars().all(|c| is_name(&c)) {
        return Err("a variable's name is malformed");
    }
    let value = value(name);
    match modifier.map(|m| (m.chars().next(), m)) {
        None => Ok(value),
        Some((Some('-'), text)) => Ok(if value.is_empty() { text[1..].to_owned() } else { value }),
        Some((Some('+'), text)) => Ok(if value.is_empty() { value } else { text[1..].to_owned() }),
        Some(_) => Err("a variable's modifier is not known"),
    }
}

/// `port`, `from-to`, each with an optional `/protocol`.
fn expose(config: &mut ContainerConfig, text: &str) -> Result<(), &'static str> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err("the protocol of a port is not known");
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .ok_or("a port is malformed")
    };
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    let (from, to) = (number(from)?, number(to)?);
    if from > to {
        return Err("a port is malformed");
    }
    for port in from..=to {
        config.exposed_ports.insert(format!("{port}/{protocol}"), Empty {});
    }
    Ok(())
}

/// A working directory, relative to the one before it, without `.`, `..` and doubled slashes.
fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions() {
        let mut image = ImageConfig::default();
        for change in [
            "CMD echo hi",
            "cmd [\"/bin/true\", \"a b\"]",
            "ENTRYPOINT /run $X",
            "ENV A=1 B=\"two words\" C='$A' D=${A}x",
            "ENV E  the $A rest",
            "ENV A=2",
            "EXPOSE 80 53/udp 7000-7002",
            "LABEL a.b=\"c d\" e=f",
            "MAINTAINER Some One <some@one>",
            "USER ${NOBODY:-daemon}",
            "VOLUME /data \"/more data\"",
            "VOLUME [\"/json\"]",
            "WORKDIR /a/b",
            "WORKDIR ../c",
            "STOPSIGNAL SIGUSR1",
            "ONBUILD RUN make",
        ] {
            apply(&mut image, change).expect(change);
        }
        let config = image.config.expect("made");
        assert_eq!(config.cmd.expect("cmd"), ["/bin/true", "a b"]);
        assert_eq!(config.entrypoint.expect("entrypoint"), ["/bin/sh", "-c", "/run $X"]);
        // Variables of the same instruction are not set yet.
        assert_eq!(config.env, ["A=2", "B=two words", "C=$A", "D=x", "E=the 1 rest"]);
        let ports: Vec<_> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(ports, ["53/udp", "7000/tcp", "7001/tcp", "7002/tcp", "80/tcp"]);
        let labels: Vec<_> = config.labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(labels, ["a.b:c d", "e:f"]);
        let volumes: Vec<_> = config.volumes.expect("volumes").into_keys().collect();
        assert_eq!(volumes, ["/data", "/json", "/more data"]);
        assert_eq!(
            (image.author, config.user, config.working_dir, config.stop_signal),
            (
                "Some One <some@one>".into(),
                "daemon".into(),
                "/a/c".into(),
                "SIGUSR1".into()
            )
        );
        assert_eq!(config.on_build.expect("onbuild"), ["RUN make"]);
    }

    #[test]
    fn refusals() {
        for change in [
            "CMD",
            "VOLUME",
            "ENV A",
            "ENV =x y=z",
            "ENV A=\"x",
            "ENV A=${X",
            "ENV A=${X:?y}",
            "ENV A=x\\",
            "EXPOSE x",
            "EXPOSE +80",
            "EXPOSE 70000",
            "EXPOSE 9-8",
            "EXPOSE 80/icmp",
            "USER a b",
            "VOLUME [1]",
            "ONBUILD FROM x",
        ] {
            let error = apply(&mut ImageConfig::default(), change).expect_err(change);
            assert!(error.to_string().ends_with(change), "{change}");
        }
        for (change, verb) in [("", ""), ("RUN make", "run"), ("FROM x", "from"), ("x", "x")] {
            let error = apply(&mut ImageConfig::default(), change).expect_err(change);
            assert_eq!(error.to_string(), format!("{verb} is not a valid change command"));
        }
    }
}
